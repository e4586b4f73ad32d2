import { parseAddress, parsePrefix } from "@loden/ip";
import type { FdbEntry, Link, LinkAddress, ListedRoute, Neighbour } from "@loden/rtnetlink";

/** A link as the kernel would list it, a bridge unless `rest` says otherwise. */
export function link(name: string, rest: Partial<Link> = {}): Link {
  return {
    name,
    index: 1,
    kind: "bridge",
    mtu: 1500,
    up: true,
    running: true,
    mac: undefined,
    master: undefined,
    lower: undefined,
    peerIndex: undefined,
    addrGenMode: undefined,
    ...rest,
  };
}

/** An address as the kernel would list it. */
export function address(on: string, text: string, prefixLength = 32): LinkAddress {
  return {
    link: on,
    linkIndex: 1,
    address: parseAddress(text),
    prefixLength,
    scope: "global",
    tentative: false,
    permanent: true,
    deprecated: false,
    secondary: false,
  };
}

/** A neighbour as the kernel would list it. */
export function neighbour(on: string, text: string, mac: string, state: "permanent" | "stale"): Neighbour {
  return { link: on, linkIndex: 1, address: parseAddress(text), mac, state };
}

/** A forwarding entry as the kernel would list it. */
export function fdbEntry(on: string, mac: string, to: string, state: "permanent" | "dynamic"): FdbEntry {
  return { link: on, linkIndex: 1, mac, destination: parseAddress(to), state, table: "self" };
}

/** A route as the kernel would list it. */
export function route(destination: string, rest: Partial<ListedRoute>): ListedRoute {
  const { gateway } = rest;
  return {
    destination: parsePrefix(destination),
    table: 254,
    protocol: 4,
    scope: gateway ? "global" : "link",
    type: "unicast",
    ...rest,
  };
}
