import { leadsInto } from "@loden/backend";
import type { Netns } from "@loden/netns";
import { openKernelState, type StateChanges } from "@loden/route";
import type { CallOptions } from "@loden/rtnetlink";
import type { NetworkConfig } from "@loden/subnet";

/**
 * Removes what a host-gw backend left in the kernel, however it ended: the routes of Loden's protocol number into the network. Needs no prior state.
 *
 * @param where the network, and the namespace where it is not that of the calling thread.
 * @param options `signal` gives up.
 * @returns what was removed.
 * @throws {StateApplyError} `ERR_STATE_APPLY` when the kernel refuses.
 */
export async function clearHostGw(
  where: { readonly network: NetworkConfig; readonly netns?: Netns | undefined },
  options?: CallOptions,
): Promise<StateChanges> {
  const { network, netns } = where;
  using state = openKernelState({ netns, ownsRoute: (route) => leadsInto(network, route) });
  return await state.clear(options);
}
