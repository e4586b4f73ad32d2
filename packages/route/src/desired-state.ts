import type {
  AddrGenMode,
  KindSettings,
  NewAddress,
  NewFdbEntry,
  NewNeighbour,
  NewPeer,
  Route,
} from "@loden/rtnetlink";

/** What the kernel should hold of ours, all of it. Of two things in one place (two routes to one destination, two far ends of one MAC address) the first one counts and the other is refused. */
export interface DesiredState {
  /** Links of ours. What is on them is ours as well. */
  readonly links?: readonly DesiredLink[] | undefined;
  /** Addresses of links of ours. */
  readonly addresses?: readonly NewAddress[] | undefined;
  /** Neighbours on links of ours: what the kernel need not ask for. */
  readonly neighbours?: readonly NewNeighbour[] | undefined;
  /** Forwarding entries of VXLAN devices of ours. */
  readonly fdb?: readonly NewFdbEntry[] | undefined;
  /** Routes out of any link. Table and protocol number may be left out. */
  readonly routes?: readonly Route[] | undefined;
}

/**
 * A link to have. One that differs is mended in place where that leaves what is on it alone (`mtu`, `mac`, `up`, `master`,
 * `addrGenMode`), and deleted and made again where it is another device: its kind, its lower link, or any setting of the kind
 * that is given here (flannel.md, section 7.1). What is left out is not compared.
 */
export interface DesiredLink extends KindSettings {
  /** At most 15 bytes; one of the names that are ours. */
  readonly name: string;
  /** Driver: `vxlan`, `bridge`, `veth`, ... Without it somebody else makes the link (a TUN device), which is waited for and mended only. */
  readonly kind?: string | undefined;
  /** Name of the link below, for `vxlan` and `vlan`. */
  readonly lower?: string | undefined;
  /** `veth`: the other end, made with it and not looked at again. */
  readonly peer?: NewPeer | undefined;
  /** Largest packet in bytes. */
  readonly mtu?: number | undefined;
  /** MAC address as `02:42:ac:11:00:02`. */
  readonly mac?: string | undefined;
  /** Bridge that it is a port of. */
  readonly master?: string | undefined;
  /** Switched on. Default true. */
  readonly up?: boolean | undefined;
  /** How it gets its IPv6 link-local address. */
  readonly addrGenMode?: AddrGenMode | undefined;
}

/** One thing that the kernel holds or should hold. */
export type StateObject =
  | { readonly type: "link"; readonly link: DesiredLink }
  | { readonly type: "address"; readonly address: NewAddress }
  | { readonly type: "neighbour"; readonly neighbour: NewNeighbour }
  | { readonly type: "fdb"; readonly entry: NewFdbEntry }
  | { readonly type: "route"; readonly route: Route };

/** The objects of a state in the order in which they are made: links, addresses, neighbours, forwarding entries, routes. */
export function* stateObjects(state: DesiredState): Generator<StateObject> {
  for (const link of state.links ?? []) yield { type: "link", link };
  for (const address of state.addresses ?? []) yield { type: "address", address };
  for (const neighbour of state.neighbours ?? []) yield { type: "neighbour", neighbour };
  for (const entry of state.fdb ?? []) yield { type: "fdb", entry };
  for (const route of state.routes ?? []) yield { type: "route", route };
}
