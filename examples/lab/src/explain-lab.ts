import type { BackendName, LabSettings } from "./lab-settings.ts";
import type { HostView } from "./lab-view.ts";

const ways: Readonly<Record<BackendName, string>> = {
  udp: "Packets travel between hosts inside UDP datagrams.",
  vxlan:
    "Packets travel between hosts inside VXLAN, which the kernel carries: Loden tells it a device, an entry and a route for each host.",
  "host-gw":
    "Packets travel between hosts as they are: Loden gives the kernel a route to each host's subnet.",
};

/**
 * Says in one sentence how packets travel between hosts.
 *
 * @param settings of the lab.
 */
export function howPacketsTravel({ backend }: Pick<LabSettings, "backend">): string {
  return ways[backend];
}

/**
 * Says in one sentence who puts packets into datagrams and takes them out: the kernel or Loden's own code.
 *
 * @param hosts the lab's.
 * @returns nothing while no host is up, and for backends that leave everything to the kernel.
 */
export function whoCarriesPackets(hosts: readonly Pick<HostView, "kernelPath">[]): string | undefined {
  const [first, ...others] = hosts.flatMap(({ kernelPath }) => kernelPath ?? []);
  if (first === undefined) return undefined;
  if (first.on || others.some(({ on }) => on)) {
    return "The kernel carries plain ones, by BPF programs of Loden's; Loden's pump in userspace the rest: IPv6, fragments, errors.";
  }
  return `Loden's pump carries them all, in userspace, and the kernel none by itself: ${first.reason}.`;
}

/** Says in one sentence what the host outside is for. */
export function whatIsOutside(): string {
  return "A host outside the overlay, 198.51.100.1, is on the switch too: what containers send there leaves with their host's address (masquerade).";
}
