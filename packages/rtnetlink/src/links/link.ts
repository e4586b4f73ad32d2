import {
  type BondInfo,
  type BridgeInfo,
  LinkFlag,
  type LinkMessage,
  type VlanInfo,
  type VxlanInfo,
} from "@loden/netlink";
import { formatHardwareAddress } from "./hardware-address.ts";

/** How a link gets its IPv6 link-local address, named as `ip link set addrgenmode` names it. */
export type AddrGenMode = "eui64" | "none" | "stable_secret" | "random";

/** Settings of a VXLAN device, whose lower link is named beside them. */
export type VxlanSettings = Omit<VxlanInfo, "link">;

/** The settings of a link's kind: at most that of its own kind is there. */
export interface KindSettings {
  /** `vxlan`: network identifier, port, addresses, learning and so on. */
  readonly vxlan?: VxlanSettings | undefined;
  /** `bridge`: spanning tree, ageing, VLAN filtering. */
  readonly bridge?: BridgeInfo | undefined;
  /** `vlan`: identifier and protocol. */
  readonly vlan?: VlanInfo | undefined;
  /** `bond`: mode and monitoring. */
  readonly bond?: BondInfo | undefined;
}

/** A network link (device) as the kernel lists it. */
export interface Link extends KindSettings {
  /** Interface index, unique in its namespace. */
  readonly index: number;
  readonly name: string;
  /** Driver: `veth`, `bridge`, `tun`, `vxlan`; `undefined` for hardware and `lo`. */
  readonly kind: string | undefined;
  /** Largest packet in bytes. */
  readonly mtu: number;
  /** Switched on (`ip link set up`). */
  readonly up: boolean;
  /** Operational: up and with a carrier; false for a veth whose other end is down. */
  readonly running: boolean;
  /** MAC address as `02:42:ac:11:00:02`; `undefined` where there is none (TUN). */
  readonly mac: string | undefined;
  /** Name of the bridge it is a port of. */
  readonly master: string | undefined;
  /** Name of the link below (VXLAN, VLAN), where it is in the same namespace. */
  readonly lower: string | undefined;
  /** Index of the other end of a veth, in this namespace or in the peer's. */
  readonly peerIndex: number | undefined;
  /** How IPv6 link-local addresses come about; `undefined` where IPv6 is off. */
  readonly addrGenMode: AddrGenMode | undefined;
}

/** The modes by their IFLA_INET6_ADDR_GEN_MODE number. */
export const addrGenModes: readonly AddrGenMode[] = ["eui64", "none", "stable_secret", "random"];

/**
 * Makes a {@link Link} of a link message.
 *
 * @param nameOf Gives the name of a link by its index, for the master and the link below.
 */
export function linkOf(message: LinkMessage, nameOf: (index: number) => string | undefined): Link {
  const { flags = 0, hardwareAddress, master, info } = message;
  const { vxlan, bridge, vlan, bond } = info ?? {};
  const { link: _below, ...settings } = vxlan ?? {};
  const lower = lowerIndex(message);
  return {
    index: message.index ?? 0,
    name: message.name ?? "",
    kind: info?.kind,
    mtu: message.mtu ?? 0,
    up: (flags & LinkFlag.up) !== 0,
    running: (flags & LinkFlag.running) !== 0,
    mac: hardwareAddress && hardwareAddress.length > 0 ? formatHardwareAddress(hardwareAddress) : undefined,
    master: master ? nameOf(master) : undefined,
    lower: lower === undefined ? undefined : nameOf(lower),
    peerIndex: info?.kind === "veth" ? message.link : undefined,
    addrGenMode: message.addrGenMode === undefined ? undefined : addrGenModes[message.addrGenMode],
    ...(vxlan && { vxlan: settings }),
    ...(bridge && { bridge }),
    ...(vlan && { vlan }),
    ...(bond && { bond }),
  };
}

/** Index of the link below; IFLA_LINK of a veth is its other end, and with a namespace id it is an index elsewhere. */
export function lowerIndex({ info, link, linkNetnsId }: LinkMessage): number | undefined {
  if (info?.kind === "veth" || linkNetnsId !== undefined) return undefined;
  return info?.vxlan?.link || link || undefined;
}
