import type { NetworkConfig } from "./network-config.ts";
import { assignmentKey } from "./parse-assignments.ts";
import type { Subnet } from "./subnet.ts";

/**
 * Finds the subnet that the config keeps for one host.
 *
 * @param config - The network config.
 * @param names - What the host goes by: its public addresses and its host name, the one that counts most first.
 * @returns Its subnet, or `undefined` when none is assigned to it.
 */
export function findAssignment(config: NetworkConfig, names: readonly string[]): Subnet | undefined {
  for (const name of names) {
    const subnet = config.assignments?.get(assignmentKey(name));
    if (subnet !== undefined) return subnet;
  }
  return undefined;
}
