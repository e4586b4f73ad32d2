import { leadsInto } from "@loden/backend";
import type { Netns } from "@loden/netns";
import { openKernelState, type StateChanges } from "@loden/route";
import type { CallOptions } from "@loden/rtnetlink";
import type { NetworkConfig } from "@loden/subnet";
import type { VxlanDeviceNames } from "./vxlan-settings.ts";

/**
 * Removes what a VXLAN backend left in the kernel, however it ended: its devices with all that is on them, and the routes of Loden's protocol number into the
 * network. Needs no prior state.
 *
 * @param where the network and the devices, and the namespace where it is not that of the calling thread.
 * @param options `signal` gives up.
 * @returns what was removed.
 * @throws {StateApplyError} `ERR_STATE_APPLY` when the kernel refuses.
 */
export async function clearVxlan(
  where: {
    readonly network: NetworkConfig;
    readonly deviceNames: VxlanDeviceNames;
    readonly netns?: Netns | undefined;
  },
  options?: CallOptions,
): Promise<StateChanges> {
  const { network, deviceNames, netns } = where;
  const ownsRoute = (route: Parameters<typeof leadsInto>[1]): boolean => leadsInto(network, route);
  using state = openKernelState({ netns, links: Object.values(deviceNames), ownsRoute });
  return await state.clear(options);
}
