import type { Address } from "@loden/ip";
import type { SettingTable } from "./setting-codec.ts";

/** Settings of a VXLAN device (IFLA_VXLAN_*, linux/if_link.h). */
export interface VxlanInfo {
  /** VXLAN network identifier (VNI), 24 bits. */
  readonly id?: number | undefined;
  /** Where frames to unknown and multicast addresses go: a multicast group or one far end. */
  readonly group?: Address | undefined;
  /** Index of the lower link. */
  readonly link?: number | undefined;
  /** Outer source address. */
  readonly local?: Address | undefined;
  /** Outer TTL; 0 takes the system's default. */
  readonly ttl?: number | undefined;
  /** Outer type of service; 1 copies the inner one. */
  readonly tos?: number | undefined;
  /** Learn where MAC addresses are from what arrives. */
  readonly learning?: boolean | undefined;
  /** Seconds that a learnt entry stays. */
  readonly ageing?: number | undefined;
  /** Most entries of the forwarding table; 0 is no bound. */
  readonly limit?: number | undefined;
  /** Answer ARP and NDP from the neighbour table. */
  readonly proxy?: boolean | undefined;
  /** Route short circuit. */
  readonly rsc?: boolean | undefined;
  /** Notify of unknown MAC addresses. */
  readonly l2miss?: boolean | undefined;
  /** Notify of unknown IP addresses. */
  readonly l3miss?: boolean | undefined;
  /** Outer UDP destination port. The kernel's default is 8472, not IANA's 4789. */
  readonly port?: number | undefined;
  /** Compute the outer UDP checksum over IPv4. */
  readonly udpCsum?: boolean | undefined;
  /** Send without an outer UDP checksum over IPv6. */
  readonly udp6ZeroCsumTx?: boolean | undefined;
  /** Accept datagrams without an outer UDP checksum over IPv6. */
  readonly udp6ZeroCsumRx?: boolean | undefined;
  /** Carry group policy marks in the header. */
  readonly gbp?: boolean | undefined;
  /** Take the far end from the packet's metadata instead of the forwarding table. */
  readonly collectMetadata?: boolean | undefined;
  /** Copy the inner TTL. */
  readonly ttlInherit?: boolean | undefined;
  /** Outer don't-fragment bit: 0 unset, 1 set, 2 as inside. */
  readonly df?: number | undefined;
}

/** The attributes of {@link VxlanInfo}. */
export const vxlanSettings: SettingTable<VxlanInfo> = [
  ["id", "u32", 1],
  ["group", "address", 2, 16],
  ["link", "u32", 3],
  ["local", "address", 4, 17],
  ["ttl", "u8", 5],
  ["tos", "u8", 6],
  ["learning", "boolean", 7],
  ["ageing", "u32", 8],
  ["limit", "u32", 9],
  ["proxy", "boolean", 11],
  ["rsc", "boolean", 12],
  ["l2miss", "boolean", 13],
  ["l3miss", "boolean", 14],
  ["port", "port", 15],
  ["udpCsum", "boolean", 18],
  ["udp6ZeroCsumTx", "boolean", 19],
  ["udp6ZeroCsumRx", "boolean", 20],
  ["gbp", "flag", 23],
  ["collectMetadata", "boolean", 25],
  ["ttlInherit", "flag", 28],
  ["df", "u8", 29],
];
