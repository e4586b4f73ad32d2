import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { Address } from "@loden/ip";
import { closeFd, constants, encodeSocketAddress, openSocket, sendTo } from "@loden/linux";
import { ports } from "../dataplane/addresses.ts";
import { ended, type PairHost } from "./open-pair.ts";

/** A frame as tshark reads it. */
export interface WireFrame {
  /** Its layers, from outside to inside: `eth:ethertype:ip:udp:ip:tcp`. */
  readonly protocols: string;
  /** Whether every checksum in it is right; those of a packet that an ICMP error quotes can't be told, and the outer one of UDP may be missing. */
  readonly checksums: boolean;
  /** Whether the outer UDP header is without a checksum, as IPv4 allows. */
  readonly outerMissing: boolean;
  /** Whether tshark finds it malformed, or an error in it. */
  readonly malformed: boolean;
  /** Of the innermost ICMP message. */
  readonly icmpType: number | undefined;
  /** Bytes of TCP payload. */
  readonly tcpBytes: number | undefined;
  /** The lengths of all UDP headers, the outer one first. */
  readonly udpLengths: readonly number[];
  /** For each IPv4 header, the outer one first, whether it is one of a fragment. */
  readonly fragments: readonly boolean[];
  /** How many fragment headers of IPv6 it has. */
  readonly ipv6Fragments: number;
}

/** A capture that is going on. */
export interface Capture {
  /** Ends it once everything that was sent before is in the file, and gives the file. */
  end(): Promise<string>;
}

/**
 * Captures what a host sends on the underlay. On a wire these are finished frames: each fits the MTU and has its checksums.
 *
 * @param host whose device. @param own its address there. @param other that of the other host. @param file where the capture goes.
 * @param undo ends the capture, should nobody else.
 * @returns the capture, which has begun.
 */
export async function startCapture(
  host: PairHost,
  { own, other }: { readonly own: Address; readonly other: Address },
  file: string,
  undo: AsyncDisposableStack,
): Promise<Capture> {
  const words = ["-i", host.device, "-f", `src host ${own.toString()}`, "-P", "-w", file];
  const child = host.netns.run(() => spawn("dumpcap", words, { stdio: ["ignore", "ignore", "pipe"] }));
  undo.defer(() => ended(child));
  await told(child, /^File: /);
  return {
    async end() {
      await sendMarker(host, other, file);
      await ended(child, "SIGINT");
      return file;
    },
  };
}

const MARKER = "the capture ends here";
/** RFC 863: discard. */
const MARKER_PORT = 9;

async function told(child: ChildProcess, what: RegExp): Promise<void> {
  if (child.stderr === null) return;
  for await (const line of createInterface({ input: child.stderr })) if (what.test(line)) return;
  throw new Error(`Cannot capture: dumpcap ended without a line like ${String(what)}`);
}

/** dumpcap writes late, and stops at once: so the last frame has to be seen in the file before it is told to. */
async function sendMarker({ netns }: PairHost, other: Address, file: string): Promise<void> {
  const { AF_INET, AF_INET6, SOCK_DGRAM } = constants;
  const fd = netns.run(() => openSocket(other.family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM));
  try {
    sendTo(fd, Buffer.from(MARKER), encodeSocketAddress(other.toBytes(), MARKER_PORT));
  } finally {
    closeFd(fd);
  }
  const limit = AbortSignal.timeout(20_000);
  while (!readFileSync(file).includes(MARKER)) await sleep(50, undefined, { signal: limit });
}

/** Reads a capture with tshark, every checksum checked and the port of the overlay decoded as IP; what applications send is data. */
export function readCapture(file: string): readonly WireFrame[] {
  const checked = ["ip", "tcp", "udp"].flatMap((protocol) => ["-o", `${protocol}.check_checksum:TRUE`]);
  const decoded = ["tcp.port==1-65535,data", "udp.port==1-65535,data", `udp.port==${ports.loden},ip`];
  const fields = [
    "frame.protocols",
    "ip.checksum.status",
    "tcp.checksum.status",
    "udp.checksum.status",
    "icmp.checksum.status",
    "_ws.malformed",
    "_ws.expert.severity",
    "icmp.type",
    "tcp.len",
    "udp.length",
    "ip.flags.mf",
    "ip.frag_offset",
    "icmpv6.checksum.status",
    "icmpv6.type",
    "ipv6.fraghdr.ident",
  ];
  const words = ["-r", file, ...checked, ...decoded.flatMap((rule) => ["-d", rule])];
  const output = execFileSync(
    "tshark",
    [...words, "-T", "fields", ...fields.flatMap((name) => ["-e", name])],
    {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      maxBuffer: 2 ** 28,
    },
  );
  return output.split("\n").filter(Boolean).map(readFrame);
}

/** PI_ERROR of epan/proto.h. */
const EXPERT_ERROR = 0x0080_0000;
/** PROTO_CHECKSUM_E_GOOD and PROTO_CHECKSUM_E_UNVERIFIED of epan/proto.h. */
const GOOD = 1;
const UNVERIFIED = 2;
/** PROTO_CHECKSUM_E_NOT_PRESENT. */
const MISSING = 3;

function readFrame(line: string): WireFrame {
  const [protocols = "", ip, tcp, udp, icmp, malformed, severity, type, length, lengths, ...rest] =
    line.split("\t");
  const [more, offsets, icmpv6, typev6, identifications] = rest;
  const moreFragments = numbers(more);
  const quotes = /:icmp(v6)?:ip/.test(protocols);
  // The outer header is the first, where this frame has one.
  const outerMissing = protocols.startsWith("eth:ethertype:ip:udp:") && numbers(udp)[0] === MISSING;
  return {
    protocols,
    outerMissing,
    checksums: [
      ...[ip, tcp, icmp, icmpv6].flatMap(numbers),
      ...numbers(udp).slice(outerMissing ? 1 : 0),
    ].every((status) => status === GOOD || (quotes && status === UNVERIFIED)),
    malformed: malformed !== "" || numbers(severity).some((value) => value >= EXPERT_ERROR),
    icmpType: [type, typev6].flatMap(numbers).at(-1),
    tcpBytes: numbers(length).at(-1),
    udpLengths: numbers(lengths),
    fragments: numbers(offsets).map((offset, i) => offset > 0 || moreFragments[i] === 1),
    ipv6Fragments: numbers(identifications).length,
  };
}

function numbers(field: string | undefined): number[] {
  return (field ?? "").split(",").filter(Boolean).map(Number);
}

/** Bytes of a capture file's header, and of the header before each frame. */
const FILE_HEADER = 24;
const FRAME_HEADER = 16;
const ETHERNET = 14;
const ETHERTYPE_IPV4 = 0x0800;
const IPV6_HEADER = 40;
const UDP = 17;
const UDP_HEADER = 8;

/** The inner packets of a capture, in the order in which they left; those that crossed in fragments of the outer datagram are left out. */
export function innerPackets(file: string): readonly Uint8Array[] {
  const bytes = readFileSync(file);
  const packets: Uint8Array[] = [];
  for (let at = FILE_HEADER; at < bytes.length;) {
    const length = bytes.readUInt32LE(at + 8);
    const frame = bytes.subarray(at + FRAME_HEADER, at + FRAME_HEADER + length);
    at += FRAME_HEADER + length;
    const isIpv4 = frame.readUInt16BE(12) === ETHERTYPE_IPV4;
    // ARP is neither, and too short for what comes next.
    if (frame.length < ETHERNET + IPV6_HEADER) continue;
    if (isIpv4 && (frame.readUInt16BE(ETHERNET + 6) & 0x3fff) !== 0) continue;
    const start = ETHERNET + (isIpv4 ? ((frame[ETHERNET] ?? 0) & 15) * 4 : IPV6_HEADER);
    const protocol = frame[ETHERNET + (isIpv4 ? 9 : 6)];
    if (protocol !== UDP || frame.readUInt16BE(start + 2) !== ports.loden) continue;
    const end = isIpv4
      ? ETHERNET + frame.readUInt16BE(ETHERNET + 2)
      : start + frame.readUInt16BE(ETHERNET + 4);
    packets.push(Uint8Array.from(frame.subarray(start + UDP_HEADER, end)));
  }
  return packets;
}
