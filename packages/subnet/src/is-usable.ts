import type { AddressFamily, Prefix } from "@loden/ip";
import { familyNetwork, type NetworkConfig } from "./network-config.ts";
import type { Subnet } from "./subnet.ts";

/**
 * Whether a subnet, perhaps from an earlier run, still fits the config: each enabled family is there, has the right
 * length and lies between `subnetMin` and `subnetMax`, and a disabled family is absent. Whether somebody else holds it is
 * not asked.
 *
 * @param config - The network config.
 * @param subnet - The subnet to judge.
 * @returns Whether a host may hold it.
 */
export function isUsable(config: NetworkConfig, subnet: Subnet): boolean {
  return isUsablePrefix(config, 4, subnet.ipv4) && isUsablePrefix(config, 6, subnet.ipv6);
}

function isUsablePrefix(config: NetworkConfig, family: AddressFamily, prefix: Prefix | undefined): boolean {
  const network = familyNetwork(config, family);
  if (network === undefined || prefix === undefined) return network === prefix;
  return (
    prefix.family === family &&
    prefix.length === network.subnetLength &&
    prefix.address.compare(network.subnetMin) >= 0 &&
    prefix.address.compare(network.subnetMax) <= 0
  );
}
