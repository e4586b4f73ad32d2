import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Netns } from "@loden/netns";
import { openRtnetlink } from "@loden/rtnetlink";

/**
 * Joins two veth devices into a piece of wire: every frame that comes out of one goes into the other, before the kernel merges it or looks at its
 * checksum, as it would do if a bridge or a router stood there.
 *
 * The programs are eBPF, four instructions each, loaded by `ip link set DEVICE xdpdrv object FILE section xdp`.
 *
 * @param netns where the devices are.
 * @param first one of them.
 * @param second the other one.
 * @throws {Error} when the kernel refuses, as it does in a user namespace.
 */
export async function joinPorts(netns: Netns, first: string, second: string): Promise<void> {
  using rtnetlink = openRtnetlink({ netns });
  const folder = mkdtempSync(join(tmpdir(), "loden-bench-"));
  try {
    for (const [from, to] of [
      [first, second],
      [second, first],
    ] as const) {
      const target = await rtnetlink.links.get(to);
      const file = join(folder, `${from}.o`);
      writeFileSync(file, redirectObject(target?.index ?? 0));
      attach(netns, from, file);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** In a mount namespace of its own, because `ip` mounts the file system of BPF where there is none. */
function attach(netns: Netns, device: string, file: string): void {
  const ip = ["ip", "link", "set", "dev", device, "xdpdrv", "object", file, "section", "xdp"];
  const command = ["--mount", "--propagation", "private", ...ip];
  const { status, stderr, error } = netns.run(() => spawnSync("unshare", command, { encoding: "utf8" }));
  if (status !== 0)
    throw new Error(`Cannot make a wire: ${ip.join(" ")}: ${error?.message ?? stderr.trim()}`);
}

/** An ELF object with the program `return bpf_redirect(index, 0)` in its section `xdp`. */
function redirectObject(index: number): Uint8Array {
  // include/uapi/linux/bpf.h: opcode, registers, offset, immediate
  const program = words([0x01b7, index, 0x02b7, 0, 0x0085, 23, 0x0095, 0]);
  const names = "\0xdp\0symbols\0names\0redirect\0";
  const text = new TextEncoder().encode(names);
  // struct Elf64_Sym: the first one is empty, the second one a global function of section 1.
  const symbols = new Uint8Array(48);
  const symbol = new DataView(symbols.buffer, 24);
  symbol.setUint32(0, names.indexOf("redirect"), true);
  symbol.setUint8(4, 0x12);
  symbol.setUint16(6, 1, true);
  symbol.setBigUint64(16, BigInt(program.length), true);
  return elf([
    { name: names.indexOf("xdp"), type: 1, flags: 6, data: program },
    { name: names.indexOf("symbols"), type: 2, flags: 0, data: symbols, link: 3, info: 1, entry: 24 },
    { name: names.indexOf("names"), type: 3, flags: 0, data: text },
  ]);
}

interface Section {
  /** Offset of its name in the last section. */
  readonly name: number;
  /** SHT_*. */
  readonly type: number;
  /** SHF_*. */
  readonly flags: number;
  readonly data: Uint8Array;
  readonly link?: number;
  readonly info?: number;
  readonly entry?: number;
}

/** A relocatable little-endian ELF64 file for BPF; its last section holds the names. */
function elf(sections: readonly Section[]): Uint8Array {
  const headers = 64;
  const start = headers + 64 * (sections.length + 1);
  const room = sections.reduce((sum, { data }) => sum + padded(data.length), start);
  const bytes = new Uint8Array(room);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 1, true);
  view.setUint16(18, 247, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(40, BigInt(headers), true);
  view.setUint16(52, 64, true);
  view.setUint16(58, 64, true);
  view.setUint16(60, sections.length + 1, true);
  view.setUint16(62, sections.length, true);
  let offset = start;
  for (const [i, { name, type, flags, data, link = 0, info = 0, entry = 0 }] of sections.entries()) {
    const at = headers + 64 * (i + 1);
    view.setUint32(at, name, true);
    view.setUint32(at + 4, type, true);
    view.setBigUint64(at + 8, BigInt(flags), true);
    view.setBigUint64(at + 24, BigInt(offset), true);
    view.setBigUint64(at + 32, BigInt(data.length), true);
    view.setUint32(at + 40, link, true);
    view.setUint32(at + 44, info, true);
    view.setBigUint64(at + 48, 8n, true);
    view.setBigUint64(at + 56, BigInt(entry), true);
    bytes.set(data, offset);
    offset += padded(data.length);
  }
  return bytes;
}

function padded(length: number): number {
  return (length + 7) & ~7;
}

function words(values: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}
