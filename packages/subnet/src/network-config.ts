import type { Address, AddressFamily, Prefix } from "@loden/ip";
import type { Subnet } from "./subnet.ts";

/** One address family of a network: the whole network and the subnets that hosts may hold. */
export interface FamilyNetwork {
  /** The whole network. */
  readonly network: Prefix;
  /** The prefix length of one host's subnet. */
  readonly subnetLength: number;
  /** The base of the first subnet that may be allocated. By default the second of the network, as in flannel. */
  readonly subnetMin: Address;
  /** The base of the last subnet that may be allocated, inclusive. */
  readonly subnetMax: Address;
}

/** Which backend carries the packets, and what was said about it. */
export interface BackendConfig {
  /** The type in lower case; `udp` when the config has no `Backend`. */
  readonly type: string;
  /** The `Backend` object as it was written, `Type` included. Read it with `backendOption` or `parseBackendOptions`. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** A network config with every default filled in, valid as a whole. `parseNetworkConfig` makes it. */
export interface NetworkConfig {
  /** Whether hosts get an IPv4 subnet. */
  readonly enableIPv4: boolean;
  /** Whether hosts get an IPv6 subnet. */
  readonly enableIPv6: boolean;
  /** Whether firewall rules go through nftables rather than iptables. */
  readonly enableNFTables: boolean;
  /** The IPv4 network; present exactly when IPv4 is enabled. */
  readonly ipv4?: FamilyNetwork | undefined;
  /** The IPv6 network; present exactly when IPv6 is enabled. */
  readonly ipv6?: FamilyNetwork | undefined;
  /** The backend. */
  readonly backend: BackendConfig;
  /**
   * Which subnets are for which hosts alone, by public address or host name in lower case; absent when none are. The
   * config's `Loden.Assignments`, which flannel does not know. `findAssignment` looks a host up.
   */
  readonly assignments?: ReadonlyMap<string, Subnet> | undefined;
}

/**
 * The network of one family.
 *
 * @param config - The config.
 * @param family - `4` or `6`.
 * @returns The network, or `undefined` when the family is not enabled.
 */
export function familyNetwork(config: NetworkConfig, family: AddressFamily): FamilyNetwork | undefined {
  return family === 4 ? config.ipv4 : config.ipv6;
}
