import type { Backend } from "@loden/backend";
import { openHostGwBackend } from "@loden/backend-host-gw";
import { openVxlanBackend } from "@loden/backend-vxlan";
import type { Lease } from "@loden/lease";
import { openRtnetlink } from "@loden/rtnetlink";
import { parseNetworkConfig } from "@loden/subnet";
import {
  innerAddress,
  type KernelPath,
  networks,
  otherSide,
  outerAddress,
  type Side,
  subnetOf,
  UNDERLAY_MTU,
} from "./addresses.ts";
import type { Topology } from "./topology.ts";

/** The VXLAN device that is made by hand has another one. */
const VNI = 2;

/**
 * Has Loden program a path that the kernel carries, on both hosts.
 *
 * @param topology the hosts.
 * @param path which backend.
 * @param undo takes what has to be closed.
 */
export async function joinKernelBackends(
  topology: Topology,
  path: KernelPath,
  undo: AsyncDisposableStack,
): Promise<void> {
  const leases: Partial<Record<Side, Lease>> = {};
  const backends: Partial<Record<Side, Backend>> = {};
  for (const side of ["left", "right"] as const) {
    const { netns, device } = topology.hosts[side];
    const underlay = { link: device, mtu: UNDERLAY_MTU, ipv4: outerAddress(side) };
    const backend = undo.use(
      path === "loden-vxlan"
        ? await openVxlanBackend({ netns, underlay, vni: VNI })
        : openHostGwBackend({ netns, underlay }),
    );
    const { attributes } = backend;
    const lease: Lease = {
      subnet: { ipv4: subnetOf(path, side) },
      attributes,
      expiresAt: undefined,
      revision: "1",
    };
    const config = { Network: networks[path].toString(), Backend: { Type: backend.type } };
    await backend.join({ lease, network: parseNetworkConfig(JSON.stringify(config)) });
    if (path === "loden-host-gw") {
      // There is no device whose address the host could have in its subnet.
      using rtnetlink = openRtnetlink({ netns });
      const address = innerAddress(path, side);
      await rtnetlink.addresses.add({ link: "lo", address, prefixLength: 32, scope: "global" });
    }
    leases[side] = lease;
    backends[side] = backend;
  }
  for (const side of ["left", "right"] as const) {
    const peer = leases[otherSide(side)];
    await backends[side]?.apply(peer === undefined ? [] : [peer]);
  }
}
