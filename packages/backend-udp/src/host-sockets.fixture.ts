// Sockets of the hosts in tests: what containers and strangers would open.
import { readFileSync } from "node:fs";
import type { Address } from "@loden/ip";
import {
  bindSocket,
  closeFd,
  connectSocket,
  constants,
  encodeSocketAddress,
  openSocket,
  receiveFrom,
  sendTo,
  setSocketOption,
} from "@loden/linux";
import type { Netns } from "@loden/netns";
import {
  checksum,
  encodeIcmpEcho,
  encodeIpv4,
  encodeIpv6,
  encodeUdp,
  parseIcmp,
  parseIpv4,
} from "@loden/packet";
import { packetAddress } from "./packet-addresses.ts";
import type { Host } from "./two-hosts.fixture.ts";

// include/uapi/linux/if_packet.h, if_ether.h
const AF_PACKET = 17;
const ETH_P_ALL = 3;
// include/uapi/linux/in.h and in6.h: the same number
const PMTUDISC_DO = 2;

/** A socket that closes itself. */
export interface TestSocket extends Disposable {
  /** The descriptor. */
  readonly fd: number;
}

function own(fd: number): TestSocket {
  return { fd, [Symbol.dispose]: () => closeFd(fd) };
}

function open(netns: Netns, domain: number, type: number, protocol = 0): TestSocket {
  return own(netns.run(() => openSocket(domain, type | constants.SOCK_NONBLOCK, protocol)));
}

function domainOf({ family }: Address): number {
  return family === 4 ? constants.AF_INET : constants.AF_INET6;
}

/** Opens a non-blocking UDP socket in a namespace. */
export function plainUdpSocket(netns: Netns, address: Address, port: number): TestSocket {
  const socket = open(netns, domainOf(address), constants.SOCK_DGRAM);
  bindSocket(socket.fd, encodeSocketAddress(address.toBytes(), port));
  return socket;
}

/** Opens a UDP socket on the inner address of a host. */
export function udpSocket(host: Host, port: number): TestSocket {
  return plainUdpSocket(host.netns, host.inner, port);
}

/** Opens a socket on the inner address of a host that sends what comes behind an IPv4 header, as it is given. */
export function rawSocket({ netns, inner }: Host, protocol: number): TestSocket {
  const socket = open(netns, constants.AF_INET, constants.SOCK_RAW, protocol);
  bindSocket(socket.fd, encodeSocketAddress(inner.toBytes(), 0));
  return socket;
}

/** Opens a socket that sees every packet on every device of a host, from the IP header on. */
export function packetSocket(host: Host): TestSocket {
  return open(host.netns, AF_PACKET, constants.SOCK_DGRAM, ETH_P_ALL << 8);
}

/** Sets how many hops packets of a socket may go. */
export function setHopLimit({ fd }: TestSocket, { family }: Address, hops: number): void {
  const { SOL_IP, IP_TTL, SOL_IPV6, IPV6_UNICAST_HOPS } = constants;
  if (family === 4) setSocketOption(fd, SOL_IP, IP_TTL, hops);
  else setSocketOption(fd, SOL_IPV6, IPV6_UNICAST_HOPS, hops);
}

/** Lets a socket send whole packets alone, and hear of ICMP errors as errors of its calls. */
export function hearErrors({ fd }: TestSocket, { family }: Address): void {
  const { SOL_IP, IP_RECVERR, IP_MTU_DISCOVER, SOL_IPV6, IPV6_RECVERR, IPV6_MTU_DISCOVER } = constants;
  const isIpv4 = family === 4;
  setSocketOption(fd, isIpv4 ? SOL_IP : SOL_IPV6, isIpv4 ? IP_RECVERR : IPV6_RECVERR, 1);
  setSocketOption(fd, isIpv4 ? SOL_IP : SOL_IPV6, isIpv4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, PMTUDISC_DO);
}

/** The next message, or undefined when none has come in time: long for what should come, shorter for what should not. */
export async function received(fd: number, timeoutMs: number = 10_000): Promise<Uint8Array | undefined> {
  const buffer = new Uint8Array(65_536);
  for (const start = performance.now(); performance.now() - start < timeoutMs;) {
    const message = receiveFrom(fd, buffer);
    if (message !== undefined) return buffer.slice(0, message.length);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return undefined;
}

/** Sends one echo request from the inner address of a host; tells whether it is answered in time. */
export async function ping(from: Host, to: Address, timeoutMs?: number): Promise<boolean> {
  const isIpv4 = to.family === 4;
  using socket = open(from.netns, domainOf(to), constants.SOCK_RAW, isIpv4 ? 1 : 58);
  bindSocket(socket.fd, encodeSocketAddress(from.inner.toBytes(), 0));
  const ends = isIpv4 ? undefined : { source: from.inner.value, destination: to.value };
  sendTo(
    socket.fd,
    encodeIcmpEcho({ identifier: 77, sequence: 1 }, ends),
    encodeSocketAddress(to.toBytes(), 0),
  );
  // Such a socket of IPv6 hears of neighbours, too; one of IPv4 has the header before each message.
  for (;;) {
    const reply = await received(socket.fd, timeoutMs);
    if (reply === undefined) return false;
    const { type, identifier } = parseIcmp(isIpv4 ? parseIpv4(reply).payload : reply);
    if (type === (isIpv4 ? 0 : 129) && identifier === 77) return true;
  }
}

/** Sends a UDP datagram from a host's inner address and gives the error that ICMP brings back, or 0 when none comes. */
export async function errorFor(
  from: Host,
  to: Address,
  options: { hops?: number; bytes?: number } = {},
): Promise<number> {
  using socket = udpSocket(from, 0);
  hearErrors(socket, to);
  if (options.hops !== undefined) setHopLimit(socket, to, options.hops);
  connectSocket(socket.fd, encodeSocketAddress(to.toBytes(), 9));
  sendTo(socket.fd, new Uint8Array(options.bytes ?? 8));
  try {
    await received(socket.fd);
    return 0;
  } catch (error) {
    return (error as { errno: number }).errno;
  }
}

/** Opens a socket that sends ICMP messages as they are given, but for the checksum of ICMPv6. */
export function icmpSocket(netns: Netns, address: Address): TestSocket {
  return open(netns, domainOf(address), constants.SOCK_RAW, address.family === 4 ? 1 : 58);
}

/** An ICMP error of a router that finds a datagram between two tunnels too long: it takes 1,280 bytes. */
export function tooLongError(source: Address, destination: Address, payload: Uint8Array): Uint8Array {
  const isIpv4 = source.family === 4;
  const ends = { source: packetAddress(source), destination: packetAddress(destination) };
  const datagram = encodeUdp({ ...ends, sourcePort: 8285, destinationPort: 8285, payload });
  const quote = isIpv4
    ? encodeIpv4({
        source: source.toNumber(),
        destination: destination.toNumber(),
        protocol: 17,
        payload: datagram,
      })
    : encodeIpv6({ source: source.value, destination: destination.value, nextHeader: 17, payload: datagram });
  const message = new Uint8Array(8 + quote.length);
  message.set(isIpv4 ? [3, 4, 0, 0, 0, 0, 5, 0] : [2, 0, 0, 0, 0, 0, 5, 0]);
  message.set(quote, 8);
  if (isIpv4) new DataView(message.buffer).setUint16(2, checksum(message));
  return message;
}

/** How many such errors have reached a host. */
export function tooLongErrors({ netns, underlay }: Host): number {
  const isIpv4 = underlay.family === 4;
  const file = `/proc/thread-self/net/${isIpv4 ? "snmp" : "snmp6"}`;
  const row = isIpv4 ? /^IcmpMsg: InType3\b.*\nIcmpMsg: (\d+)/m : /^Icmp6InPktTooBigs\s+(\d+)/m;
  return Number(row.exec(netns.run(() => readFileSync(file, "utf8")))?.[1] ?? 0);
}

/** A whole inner packet: an echo request. */
export function echoRequest(source: Address, destination: Address): Uint8Array {
  const echo = { identifier: 1, sequence: 1 };
  if (source.family === 4) {
    const ends = { source: source.toNumber(), destination: destination.toNumber() };
    return encodeIpv4({ ...ends, protocol: 1, payload: encodeIcmpEcho(echo) });
  }
  const ends = { source: source.value, destination: destination.value };
  return encodeIpv6({ ...ends, nextHeader: 58, payload: encodeIcmpEcho(echo, ends) });
}
