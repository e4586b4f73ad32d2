import { formatStatePlan, type KernelState, openKernelState } from "@loden/route";
import type { Route } from "@loden/rtnetlink";
import { formatSubnet, type NetworkConfig, type Subnet } from "@loden/subnet";
import { nextChange } from "./health/next-change.ts";
import type { NodeHealth } from "./health/node-health.ts";
import type { Logger } from "./log/logger.ts";

/**
 * Above every metric that others use: the route of the containers' bridge to the same subnet is taken while it is there, and the two never collide, whichever
 * comes first.
 */
const METRIC = 0x7fff_ffff;

/** Which blackhole routes a host should have. */
export interface BlackholeSources {
  /** Whether they are wanted. */
  readonly isWanted: boolean;
  readonly network: NetworkConfig;
}

/**
 * Says which blackhole routes would be added or removed now, as commands, and changes nothing.
 *
 * @param sources what is wanted.
 * @param subnet this host's.
 * @returns lines.
 */
export async function explainBlackhole(
  { isWanted, network }: BlackholeSources,
  subnet: Subnet,
): Promise<string> {
  using state = openBlackholes(network);
  return formatStatePlan(await state.plan({ routes: isWanted ? blackholes(subnet) : [] }));
}

/** The blackhole routes into one network: those of other daemons are theirs. */
function openBlackholes({ ipv4, ipv6 }: NetworkConfig): KernelState {
  const networks = [ipv4?.network, ipv6?.network];
  return openKernelState({
    ownsRoute: ({ type, destination }) =>
      type === "blackhole" && networks.some((one) => one?.contains(destination) === true),
    repair: true,
  });
}

/**
 * The routes that take in packets for containers that this host does not have: without them a packet for one, while its bridge is down, would go
 * where the default route or the overlay leads, and come back. Like `ip route add blackhole SUBNET proto 76 metric 2147483647`.
 */
function blackholes({ ipv4, ipv6 }: Subnet): Route[] {
  return [ipv4, ipv6].flatMap((destination) =>
    destination === undefined ? [] : [{ destination, type: "blackhole" as const, metric: METRIC }],
  );
}

/** What {@link guardBlackhole} looks after. */
export interface GuardBlackholeOptions extends BlackholeSources {
  /** Knows what the host holds. */
  readonly health: NodeHealth;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * Keeps a blackhole route for this host's subnet, from when it holds one, and puts it back when it is removed. Like the firewall's rules it stays when the daemon stops.
 * Where none is wanted, that of an earlier run is removed.
 *
 * @param options what to look after.
 */
export async function guardBlackhole(options: GuardBlackholeOptions): Promise<void> {
  const { isWanted, network, health, logger, signal } = options;
  using state = openBlackholes(network);
  let appliedTo: string | undefined;
  for (;;) {
    const subnet = health.node?.lease.subnet;
    const place = subnet && formatSubnet(subnet);
    if (subnet !== undefined && place !== appliedTo) {
      appliedTo = place;
      try {
        await state.apply({ routes: isWanted ? blackholes(subnet) : [] }, { signal });
      } catch (error) {
        signal.throwIfAborted();
        logger.log("error", "the blackhole route for the own subnet could not be added", { error });
      }
    }
    await nextChange(health, { signal });
  }
}
