import { type Address, type AddressFamily, parseAddress, parsePrefix, type Prefix } from "@loden/ip";

/** The two hosts: data flows from left to right. */
export type Side = "left" | "right";

/** What carries the packets between the hosts. */
export type PathName =
  | "bare"
  | "vxlan"
  | KernelPath
  | "loden"
  | "userspace"
  | "base"
  | "socat"
  | "classic"
  | Ipv6Path;

/** The paths of IPv6 packets over the IPv6 underlay. */
export type Ipv6Path = "vxlan6" | "loden6";

/** The paths that Loden programs and the kernel carries. */
export type KernelPath = "loden-vxlan" | "loden-host-gw";

/** MTU of the underlay in bytes. */
export const UNDERLAY_MTU = 1500;
/** MTU of a tunnel with flannel's encapsulation: the underlay's less the outer IPv4 and UDP headers. */
export const TUNNEL_MTU: number = UNDERLAY_MTU - 28;

/** The paths that are relays of subnets; `userspace` is Loden without the help of the kernel, `base` is Loden from another checkout. */
export type SubnetPath = "loden" | "userspace" | "loden6" | "base" | "classic";

/** The overlays of the paths that have subnets. */
export const networks: Readonly<Record<SubnetPath | KernelPath, Prefix>> = {
  userspace: parsePrefix("100.92.0.0/16"),
  "loden-vxlan": parsePrefix("100.93.0.0/16"),
  "loden-host-gw": parsePrefix("100.94.0.0/16"),
  base: parsePrefix("100.95.0.0/16"),
  loden: parsePrefix("100.96.0.0/16"),
  loden6: parsePrefix("fd00:96::/48"),
  classic: parsePrefix("100.99.0.0/16"),
};

/** Outer UDP ports, one for each path. */
export const ports: Readonly<Record<Exclude<PathName, "bare" | KernelPath>, number>> = {
  userspace: 8283,
  base: 8284,
  loden: 8285,
  socat: 8286,
  classic: 8287,
  loden6: 8288,
  vxlan: 8472,
  vxlan6: 8473,
};

const innerAddresses: Readonly<Record<PathName, Readonly<Record<Side, Address>>>> = {
  bare: { left: parseAddress("192.0.2.1"), right: parseAddress("192.0.2.2") },
  vxlan: { left: parseAddress("100.97.0.1"), right: parseAddress("100.97.0.2") },
  userspace: { left: parseAddress("100.92.1.0"), right: parseAddress("100.92.2.0") },
  "loden-vxlan": { left: parseAddress("100.93.1.0"), right: parseAddress("100.93.2.0") },
  "loden-host-gw": { left: parseAddress("100.94.1.0"), right: parseAddress("100.94.2.0") },
  base: { left: parseAddress("100.95.1.0"), right: parseAddress("100.95.2.0") },
  loden: { left: parseAddress("100.96.1.0"), right: parseAddress("100.96.2.0") },
  loden6: { left: parseAddress("fd00:96:0:1::"), right: parseAddress("fd00:96:0:2::") },
  vxlan6: { left: parseAddress("fd00:97::1"), right: parseAddress("fd00:97::2") },
  socat: { left: parseAddress("100.98.0.1"), right: parseAddress("100.98.0.2") },
  classic: { left: parseAddress("100.99.1.0"), right: parseAddress("100.99.2.0") },
};

/** The address of a host by which a path leads to it; all paths exist side by side. */
export function innerAddress(path: PathName, side: Side): Address {
  return innerAddresses[path][side];
}

const outerIpv6Addresses = { left: parseAddress("2001:db8::1"), right: parseAddress("2001:db8::2") } as const;

/** The address of a host on the underlay, which has both families. */
export function outerAddress(side: Side, family: AddressFamily = 4): Address {
  return (family === 4 ? innerAddresses.bare : outerIpv6Addresses)[side];
}

/** The subnet of a host in an overlay of subnets. */
export function subnetOf(path: SubnetPath | KernelPath, side: Side): Prefix {
  const address = innerAddresses[path][side];
  return parsePrefix(`${address.toString()}/${address.family === 4 ? 24 : 64}`);
}

/** The other host. */
export function otherSide(side: Side): Side {
  return side === "left" ? "right" : "left";
}
