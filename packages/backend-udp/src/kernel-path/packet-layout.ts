// Where things lie in a packet, as BPF programs read it.
import { OUTER_HEADERS } from "../path-mtu.ts";

/** Bytes of an Ethernet header. */
export const ETHERNET_BYTES = 14;
/** Bytes of an IPv4 header without options. */
export const IPV4_BYTES = 20;
/** Bytes of the outer IPv4 and UDP headers. */
export const OUTER_BYTES: number = OUTER_HEADERS.ipv4;
/** Bytes of a UDP header. */
export const UDP_BYTES = 8;
/** Of an Ethernet frame that carries IPv4. */
export const ETHERTYPE_IPV4 = 0x0800;

/** How the kernel is asked for room before a packet, or to take it away (bpf_skb_adjust_room of include/uapi/linux/bpf.h): behind the link header, and without a change to what a piece is cut into. */
export const AdjustRoom = {
  mac: 1,
  fixedGso: 1,
  encapIpv4: 2,
  encapUdp: 16,
  decapIpv4: 128,
} as const;

/**
 * The longest packet in bytes to which a program can add the outer headers, where it is not a large piece that is cut later: with them, and what the kernel keeps
 * beside it, it has to fit 16 KiB (BPF_SKB_MAX_LEN in net/core/filter.c).
 */
export const MOST_IN_ONE = 16_000;

/** Offsets in an IPv4 header. */
export const Ipv4 = {
  versionAndLength: 0,
  totalLength: 2,
  fragment: 6,
  ttl: 8,
  protocol: 9,
  checksum: 10,
  source: 12,
  destination: 16,
} as const;

/** Offsets in a TCP or UDP header. */
export const Transport = {
  sourcePort: 0,
  destinationPort: 2,
  udpLength: 4,
  udpChecksum: 6,
  tcpHeaderLength: 12,
  tcpFlags: 13,
} as const;

/** Protocol numbers. */
export const Protocol = { icmp: 1, tcp: 6, udp: 17 } as const;

/** Version 4, header of 20 bytes: what has options goes to the pump. */
export const PLAIN_IPV4 = 0x45;
/** Offset and "more fragments" of {@link Ipv4.fragment}, in network order, as a little-endian machine reads them. */
export const FRAGMENT_MASK = 0xff3f;
/** A TCP header whose flags are ACK alone. */
export const TCP_ACK = 0x10;

/** A value of an array that is indexed by direction, in {@link COUNTER_BYTES}. */
export const Direction = { outbound: 0, inbound: 1 } as const;
/** Packets and bytes, 64 bits each. */
export const COUNTER_BYTES = 16;

/** The map of peers: the base of a subnet in network order, and what is known of its host. */
export const PeerKey = { bytes: 4 } as const;
/**
 * Offsets of a value of that map: the endpoint in network order, the longest inner packet in bytes, and {@link PeerFlag}, which are 32, 16 and 16 bits. A program
 * reads all of it at once: the kernel may use the value's place for another one at any moment.
 */
export const PeerValue = { endpoint: 0, mtu: 4, flags: 6, bytes: 8 } as const;
/** What a peer's kernel takes off by itself: everything, or TCP's bare acknowledgements; and whether this host's kernel sends to it. */
export const PeerFlag = { all: 1, acks: 2, send: 4 } as const;

/**
 * Gives a 16-bit number as the machine, which is little-endian, reads its bytes in network order.
 *
 * @param value 0 to 65535.
 */
export function networkOrder16(value: number): number {
  return ((value & 0xff) << 8) | (value >> 8);
}

/**
 * Gives an IPv4 address or mask as the machine reads its bytes in network order.
 *
 * @param value as an unsigned number, 10.0.0.0 being 0x0a000000.
 */
export function networkOrder32(value: number): number {
  return ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}
