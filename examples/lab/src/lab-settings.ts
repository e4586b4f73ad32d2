import type { AddressFamily } from "@loden/ip";
import type { StoreName } from "./open-storage.ts";

/** The backends that the lab can run, as in flannel's `Backend.Type`. */
export const backendNames = ["udp", "vxlan", "host-gw"] as const;

/** One of {@link backendNames}. */
export type BackendName = (typeof backendNames)[number];

/** What kind of overlay the lab makes. */
export interface LabSettings {
  /** How packets travel between hosts. */
  readonly backend: BackendName;
  /** Where leases are kept. */
  readonly store: StoreName;
  /** Whether hosts and containers have IPv6 beside IPv4. */
  readonly dualStack: boolean;
  /** Of the network between the hosts, in bytes. */
  readonly mtu: number;
  /** Whether there is a host outside the overlay, and hosts masquerade what containers send to it. */
  readonly nat: boolean;
  /** With the udp backend: whether the kernel may pass plain packets on by itself. */
  readonly kernelPath: "auto" | "off";
}

/** What is so when nothing is asked for. */
export const defaultSettings: LabSettings = {
  backend: "udp",
  store: "memory",
  dualStack: false,
  mtu: 1500,
  nat: false,
  kernelPath: "auto",
};

/** The network that the hosts share, of each family. */
export const NETWORKS: Readonly<Record<AddressFamily, string>> = { 4: "10.42.0.0/16", 6: "fd42:42::/48" };

/**
 * Lists the address families of the overlay.
 *
 * @param settings of the lab.
 */
export function familiesOf({ dualStack }: Pick<LabSettings, "dualStack">): readonly AddressFamily[] {
  return dualStack ? [4, 6] : [4];
}

/**
 * Writes the network's configuration as flannel has it.
 *
 * @param settings of the lab.
 * @returns JSON text.
 */
export function configOf({ backend, dualStack }: LabSettings): string {
  return JSON.stringify({
    Network: NETWORKS[4],
    ...(dualStack && { EnableIPv6: true, IPv6Network: NETWORKS[6] }),
    Backend: { Type: backend },
  });
}
