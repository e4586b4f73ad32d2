import {
  type Backend,
  createKernelBackend,
  leadsInto,
  leaveOut,
  listPeerSubnets,
  type Published,
  type Underlay,
  type Wanted,
} from "@loden/backend";
import type { Address } from "@loden/ip";
import type { Netns } from "@loden/netns";
import {
  applyState,
  formatStatePlan,
  openKernelState,
  openReachability,
  type StateFailure,
} from "@loden/route";
import type { CallOptions, Route } from "@loden/rtnetlink";
import type { NetworkConfig } from "@loden/subnet";
import { type HostGwState, hostGwState } from "./host-gw-state.ts";

/** Settings of {@link openHostGwBackend}. */
export interface HostGwBackendOptions {
  /** Where routes are added; by default the calling thread's own network namespace. Keep it open as long as the backend. */
  readonly netns?: Netns | undefined;
  /** The network between the hosts: one link that all of them are on. */
  readonly underlay: Underlay;
  /** The address that is announced to peers. It has to be the underlay's own, which it is without it. */
  readonly publicIP?: Address | undefined;
  /** The same for IPv6. */
  readonly publicIPv6?: Address | undefined;
  /** Whether the network has IPv4 subnets. Default true. */
  readonly enableIPv4?: boolean | undefined;
  /** Whether it has IPv6 subnets. Default false. */
  readonly enableIPv6?: boolean | undefined;
  /**
   * Take every host for a neighbour on the underlay's link even where no route says so: for hosts that have their addresses as /32 or /128 and are on
   * one link all the same. Where they are not, packets for peers go nowhere. Default false: a peer that is no neighbour is left out, and reported.
   */
  readonly onlink?: boolean | undefined;
}

/**
 * Opens flannel's host-gw backend: a plain route to each peer's subnet through its host, without any encapsulation.
 *
 * Opening adds nothing yet; `join` begins. Routes that others remove come back, and a peer that is no neighbour is looked at again whenever routes or
 * addresses change.
 *
 * @param options the underlay, and what differs from the defaults.
 * @returns the backend; the caller closes it.
 * @throws {RangeError} for a public address that is not the underlay's own: peers could not route to it.
 * @throws {TypeError} for an underlay without an address of an enabled family.
 * @throws {KernelError} EPERM when the namespace may not be entered.
 */
export function openHostGwBackend(options: HostGwBackendOptions): Backend {
  const { netns, underlay: first, onlink = false } = options;
  let network: NetworkConfig | undefined;
  using undo = new DisposableStack();
  const ownsRoute = (route: Route): boolean => leadsInto(network, route);
  const state = undo.use(openKernelState({ netns, ownsRoute, repair: true }));
  const reachability = undo.use(openReachability({ netns }));
  async function want({ underlay, peers, ...membership }: Wanted, wait: CallOptions): Promise<HostGwState> {
    ({ network } = membership);
    const listed = listPeerSubnets({ backendType: "host-gw", membership, peers });
    const hosts = onlink ? [] : listed.subnets.map(({ host }) => host);
    const reach = await reachability.reach(hosts, wait);
    return hostGwState({ underlay, listed, reach, onlink });
  }

  const backend = createKernelBackend(
    {
      type: "host-gw",
      publish: (underlay) => publish(underlay, options),
      async program(place, wait) {
        const wanted = await want(place, wait);
        const refused = refusals(await applyState(state, { routes: wanted.routes }, wait));
        return leaveOut(wanted.peers, ({ prefix }) => refused.get(prefix.toString()));
      },
      async explain(place, wait) {
        const { routes, peers } = await want(place, wait);
        const skipped = peers.skipped.map(({ subnet, reason }) => `# leaves ${subnet} out: ${reason}\n`);
        return `${skipped.join("")}${formatStatePlan(await state.plan({ routes }, wait))}`;
      },
      watch: (signal) => [reachability.watch({ signal })],
      clear: async () => void (await state.clear()),
      close: () => held.dispose(),
    },
    first,
  );
  const held = undo.move();
  return backend;
}

/** What follows from an underlay: peers use it as it is, so its address is the one that they are told. */
function publish(
  { ipv4, ipv6, mtu }: Underlay,
  { publicIP = ipv4, publicIPv6 = ipv6, enableIPv4 = true, enableIPv6 = false }: HostGwBackendOptions,
): Published {
  const attempt = "Cannot use the underlay for the host-gw backend";
  for (const [name, enabled, own, announced] of [
    ["IPv4", enableIPv4, ipv4, publicIP],
    ["IPv6", enableIPv6, ipv6, publicIPv6],
  ] as const) {
    if (!enabled) continue;
    if (own === undefined) throw new TypeError(`${attempt}: it has no ${name} address, expected one`);
    if (announced?.equals(own) !== true) {
      throw new RangeError(
        `${attempt}: the public address is ${announced?.toString()}, expected the underlay's own, ${own.toString()}: ` +
          `peers route to it on their link, so it can't be behind NAT`,
      );
    }
  }
  return {
    mtu,
    attributes: {
      ...(ipv4 !== undefined && { publicIP: ipv4 }),
      ...(ipv6 !== undefined && enableIPv6 && { publicIPv6: ipv6 }),
      backendType: "host-gw",
    },
  };
}

/** What the kernel says of routes that it did not take, by destination. */
function refusals(failures: readonly StateFailure[]): ReadonlyMap<string, string> {
  return new Map(
    failures.flatMap(({ object, error }) =>
      object.type === "route" ? [[object.route.destination.toString(), error.message] as const] : [],
    ),
  );
}
