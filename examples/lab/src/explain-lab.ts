import type { BackendName, LabSettings } from "./lab-settings.ts";

const ways: Readonly<Record<BackendName, string>> = {
  udp: "Packets travel between hosts inside UDP datagrams, which Loden itself carries.",
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

/** Says in one sentence what the host outside is for. */
export function whatIsOutside(): string {
  return "A host outside the overlay, 198.51.100.1, is on the switch too: what containers send there leaves with their host's address (masquerade).";
}
