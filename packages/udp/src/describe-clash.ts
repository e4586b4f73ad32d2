import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
import { type Address, addressFromBytes } from "@loden/ip";
import { formatEndpoint } from "./format-endpoint.ts";

/**
 * Says in words which socket keeps an address and port from being bound, in the namespace that the thread is in.
 *
 * @param address the address that was asked for.
 * @param port the port that was asked for.
 * @returns e.g. `flanneld (process 4711) has 0.0.0.0:8285`; as much of it as can be found out.
 */
export function describeClash(address: Address, port: number): string {
  const clash = listSockets(address.family).find(
    (socket) => socket.port === port && overlaps(socket.address, address),
  );
  if (clash === undefined) return "another socket has it";
  const owner = findOwner(clash.inode);
  return `${owner ?? "another process"} has ${formatEndpoint(clash.address, clash.port)}`;
}

/** One line of `/proc/net/udp`. */
export interface ListedSocket {
  readonly address: Address;
  readonly port: number;
  readonly inode: string;
}

/**
 * Reads the kernel's table of UDP sockets: `/proc/net/udp` or `/proc/net/udp6`, described in proc_pid_net(5).
 *
 * @param text the table's text.
 * @returns its sockets; lines that can't be read are left out.
 */
export function parseSocketTable(text: string): ListedSocket[] {
  return text.split("\n").flatMap((line) => {
    const [, local = "", , , , , , , , inode = ""] = line.trim().split(/\s+/);
    const match = /^((?:[0-9A-F]{8}){1,4}):([0-9A-F]{4})$/.exec(local);
    if (match === null) return [];
    return [
      { address: parseWords(match[1] as string), port: Number.parseInt(match[2] as string, 16), inode },
    ];
  });
}

// Groups of four bytes, each written as a number in the machine's own order (little-endian).
function parseWords(hex: string): Address {
  const bytes = Buffer.from(hex, "hex");
  return addressFromBytes(new Uint8Array(bytes.swap32()));
}

function listSockets(family: 4 | 6): ListedSocket[] {
  // An IPv6 socket for all addresses may hold the IPv4 ones too, so both tables count.
  const tables = family === 4 ? ["udp", "udp6"] : ["udp6"];
  return tables.flatMap((table) => parseSocketTable(readQuietly(`/proc/thread-self/net/${table}`)));
}

function overlaps(held: Address, wanted: Address): boolean {
  return held.isUnspecified || wanted.isUnspecified || held.equals(wanted);
}

function findOwner(inode: string): string | undefined {
  const target = `socket:[${inode}]`;
  for (const pid of listQuietly("/proc").filter((name) => /^\d+$/.test(name))) {
    const owns = listQuietly(`/proc/${pid}/fd`).some((fd) => linkQuietly(`/proc/${pid}/fd/${fd}`) === target);
    if (owns) return pid === String(process.pid) ? "this process" : `${commandOf(pid)} (process ${pid})`;
  }
  return undefined;
}

function commandOf(pid: string): string {
  const [command = ""] = readQuietly(`/proc/${pid}/cmdline`).split("\0");
  return basename(command) || readQuietly(`/proc/${pid}/comm`).trim();
}

// Processes come and go, and those of others are closed to us: what can't be read is left out.
function readQuietly(file: string): string {
  return quietly(() => readFileSync(file, "utf8"), "");
}

function listQuietly(folder: string): string[] {
  return quietly(() => readdirSync(folder), []);
}

function linkQuietly(file: string): string {
  return quietly(() => readlinkSync(file), "");
}

function quietly<T>(fn: () => T, otherwise: T): T {
  try {
    return fn();
  } catch {
    return otherwise;
  }
}
