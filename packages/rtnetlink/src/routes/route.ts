import type { Address, Prefix } from "@loden/ip";

/** How far away a destination is, named as `ip route` names it. */
export type RouteScopeName = "global" | "site" | "link" | "host" | "nowhere";

/** What becomes of a packet that a route matches, named as `ip route` names it. */
export type RouteTypeName =
  | "unicast"
  | "local"
  | "broadcast"
  | "anycast"
  | "multicast"
  | "blackhole"
  | "unreachable"
  | "prohibit"
  | "throw";

/** A route. What is absent takes the default that `ip route add` gives it. */
export interface Route {
  /** Where it leads; `0.0.0.0/0` or `::/0` is the default route. */
  readonly destination: Prefix;
  /** Next hop; may be of the other family. */
  readonly gateway?: Address | undefined;
  /** Name of the link; may be left out when the gateway tells. */
  readonly link?: string | undefined;
  /** Source address for packets that have none yet. */
  readonly source?: Address | undefined;
  /** Preference among routes to one destination, lower wins. Default 0, for IPv6 1024. */
  readonly metric?: number | undefined;
  /** Number of who added it (RTPROT_*). Default 4, static. */
  readonly protocol?: number | undefined;
  /** IPv4 only. Default `link` without a gateway, `global` with one. */
  readonly scope?: RouteScopeName | undefined;
  /** The gateway is on the link even if no route says so. Default false. */
  readonly onlink?: boolean | undefined;
  /** Routing table. Default 254, main. */
  readonly table?: number | undefined;
  /** Default `unicast`. */
  readonly type?: RouteTypeName | undefined;
  /** Path MTU in bytes; that of the link without it. */
  readonly mtu?: number | undefined;
  /** Several next hops that share the traffic, instead of `gateway`, `link` and `onlink`. */
  readonly nextHops?: readonly RouteNextHop[] | undefined;
}

/** One of several next hops of a route. */
export interface RouteNextHop {
  /** Next hop; may be of the other family. None when the destination is on the link. */
  readonly gateway?: Address | undefined;
  /** Name of the link. */
  readonly link: string;
  /** Share of the traffic relative to the others, 1-256. Default 1. */
  readonly weight?: number | undefined;
  /** The gateway is on the link even if no route says so. Default false. */
  readonly onlink?: boolean | undefined;
}

/** A route as the kernel lists it. */
export interface ListedRoute extends Route {
  /** Routing table. */
  readonly table: number;
  /** Number of who added it (RTPROT_*): 2 the kernel, 3 `ip` by default, 4 an administrator, 76 Loden. */
  readonly protocol: number;
  /** How far away the destination is; always `global` for IPv6. */
  readonly scope: RouteScopeName;
  /** What becomes of a packet. */
  readonly type: RouteTypeName;
  /** Index of the link, where it has one. */
  readonly linkIndex?: number | undefined;
  /**
   * What packets are wrapped in before they leave (RTA_ENCAP_TYPE, LWTUNNEL_ENCAP_* of linux/lwtunnel.h: 1 MPLS, 2 an IP tunnel, 5 IPv6 segment
   * routing, 6 a BPF program, …); nothing without it.
   */
  readonly encapsulation?: number | undefined;
}
