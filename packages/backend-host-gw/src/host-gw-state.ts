import { leaveOut, type PeerSubnets, type Underlay } from "@loden/backend";
import type { Address } from "@loden/ip";
import type { Reach } from "@loden/route";
import type { Route } from "@loden/rtnetlink";

/** What {@link hostGwState} goes by. */
export interface HostGwStateOptions {
  /** The network between the hosts. */
  readonly underlay: Underlay;
  /** The peers that say where they are. */
  readonly listed: PeerSubnets;
  /** How their hosts are reached by the routes of this one, by address. Not looked at with `onlink`. */
  readonly reach: ReadonlyMap<string, Reach>;
  /** Take every host for a neighbour on the underlay's link, whatever routes say. */
  readonly onlink: boolean;
}

/** What the kernel is to hold, and which peers that serves. */
export interface HostGwState {
  readonly routes: readonly Route[];
  readonly peers: PeerSubnets;
}

/**
 * Says which routes the kernel is to hold for a set of leases: `ip route replace PEER-SUBNET via PEER-PUBLIC-IP dev UNDERLAY` for each family. Pure.
 *
 * @param options the leases, and how their hosts are reached.
 * @returns the routes, and who is served.
 */
export function hostGwState({ underlay, listed, reach, onlink }: HostGwStateOptions): HostGwState {
  const { link } = underlay;
  const peers = onlink
    ? listed
    : leaveOut(listed, ({ host }) => whyNoNeighbour(host, reach.get(host.toString()), link));
  const routes = peers.subnets.map(({ prefix, host }): Route => {
    return { destination: prefix, gateway: host, link, ...(onlink && { onlink }) };
  });
  return { routes, peers };
}

function whyNoNeighbour(host: Address, reach: Reach | undefined, link: string): string | undefined {
  if (reach?.kind === "neighbour" && reach.link === link) return undefined;
  const expected = `expected a neighbour on ${link}: host-gw needs all hosts on one link`;
  return `its host ${host.toString()} is ${describe(reach)}, ${expected}`;
}

function describe(reach: Reach | undefined): string {
  switch (reach?.kind) {
    case "neighbour":
      return `a neighbour on ${reach.link}`;
    case "router":
      return `behind the router ${reach.router.toString()} on ${reach.link}`;
    case "own":
      return "this host itself";
    case "unreachable":
    case undefined:
      return "not reachable by any route";
  }
}
