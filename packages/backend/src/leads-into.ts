import type { Prefix } from "@loden/ip";
import type { NetworkConfig } from "@loden/subnet";

/**
 * Whether a route is one of those to peers of a network, so that backends of several networks can share a routing table. A blackhole for a host's own
 * subnet is none.
 *
 * @param network the network; of none there are no routes.
 * @param route a route as the kernel lists it.
 */
export function leadsInto(
  network: NetworkConfig | undefined,
  { destination, type = "unicast" }: { readonly destination: Prefix; readonly type?: string | undefined },
): boolean {
  const overlay = destination.family === 4 ? network?.ipv4 : network?.ipv6;
  return type === "unicast" && overlay?.network.contains(destination) === true;
}
