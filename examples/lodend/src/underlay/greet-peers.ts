import type { Underlay } from "@loden/backend";
import type { Lease } from "@loden/lease";
import { greetNeighbours } from "@loden/route";
import type { Logger } from "../log/logger.ts";

/**
 * Lets the peers know at which card this host is now. One that can't be greeted finds out by itself, within a minute.
 *
 * @param underlay the interface between hosts as it is now.
 * @param peers the leases of all other hosts.
 * @param logger told when it fails.
 */
export async function greetPeers(underlay: Underlay, peers: readonly Lease[], logger: Logger): Promise<void> {
  const hosts = peers.flatMap(({ attributes: { publicIP, publicIPv6 } }) => [publicIP, publicIPv6]);
  try {
    await greetNeighbours(
      hosts.filter((host) => host !== undefined),
      underlay,
    );
  } catch (error) {
    logger.log("warn", "peers could not be told where this host is; they find out within a minute", {
      error,
    });
  }
}
