import { type Address, type AddressFamily, addressBits, Prefix } from "@loden/ip";
import { ConfigError } from "./config-error.ts";
import type { FamilyNetwork } from "./network-config.ts";

/** One family of a network config as it was written: what is absent is derived. */
export interface FamilyInput {
  readonly family: AddressFamily;
  /** What the keys of this family start with, for messages. */
  readonly keyPrefix: "" | "IPv6";
  readonly network: Prefix | undefined;
  readonly subnetLength: number | undefined;
  readonly subnetMin: Address | undefined;
  readonly subnetMax: Address | undefined;
}

/**
 * Fills in the defaults of one enabled family and checks the whole. Source: flannel's `CheckNetworkConfig`; that the
 * range is not inverted is checked here only.
 *
 * @param input - The family as it was written.
 * @returns The family complete.
 * @throws {ConfigError} `ERR_NETWORK_CONFIG` if a value contradicts another.
 */
export function deriveFamilyNetwork(input: FamilyInput): FamilyNetwork {
  const network = requireNetwork(input);
  const subnetLength = deriveLength(input, network);
  const size = 1n << BigInt(addressBits(input.family) - subnetLength);
  const subnetMin = isSet(input.subnetMin) ? input.subnetMin : network.address.plus(size);
  const subnetMax = isSet(input.subnetMax) ? input.subnetMax : network.last.plus(1n - size);
  checkBound(`${input.keyPrefix}SubnetMin`, subnetMin, network, subnetLength);
  checkBound(`${input.keyPrefix}SubnetMax`, subnetMax, network, subnetLength);
  if (subnetMin.compare(subnetMax) > 0) {
    const key = `${input.keyPrefix}SubnetMin`;
    throw new ConfigError(
      key,
      `is ${subnetMin.toString()}, expected at most ${input.keyPrefix}SubnetMax, ${subnetMax.toString()}`,
    );
  }
  return { network, subnetLength, subnetMin, subnetMax };
}

/** The lengths flannel decides by: default subnet, the longest network that gets it, the longest network and subnet at all. */
const limits = {
  4: { defaultLength: 24, defaultNetwork: 22, longestNetwork: 28, longestSubnet: 30 },
  6: { defaultLength: 64, defaultNetwork: 62, longestNetwork: 124, longestSubnet: 126 },
} as const;

function requireNetwork({ family, keyPrefix, network }: FamilyInput): Prefix {
  if (network === undefined) {
    throw new ConfigError(
      `${keyPrefix}Network`,
      `is absent, expected one because EnableIPv${family} is true`,
    );
  }
  if (network.length === 0) {
    throw new ConfigError(
      `${keyPrefix}Network`,
      `is ${network.toString()}, expected less than all addresses`,
    );
  }
  return network;
}

function deriveLength({ family, keyPrefix, subnetLength = 0 }: FamilyInput, network: Prefix): number {
  const limit = limits[family];
  const key = `${keyPrefix}SubnetLen`;
  if (subnetLength === 0) {
    if (network.length > limit.longestNetwork) {
      const problem = `is ${network.toString()}, expected at most /${limit.longestNetwork} to hold four subnets`;
      throw new ConfigError(`${keyPrefix}Network`, problem);
    }
    return network.length <= limit.defaultNetwork ? limit.defaultLength : network.length + 2;
  }
  if (subnetLength > limit.longestSubnet) {
    throw new ConfigError(key, `is ${subnetLength}, expected at most ${limit.longestSubnet}`);
  }
  if (subnetLength < network.length + 2) {
    const problem = `is ${subnetLength}, expected at least ${network.length + 2} for four subnets in ${network.toString()}`;
    throw new ConfigError(key, problem);
  }
  return subnetLength;
}

/** The unspecified address means the default, as it does in flannel. */
function isSet(address: Address | undefined): address is Address {
  return address !== undefined && !address.isUnspecified;
}

function checkBound(key: string, bound: Address, network: Prefix, subnetLength: number): void {
  if (!network.contains(bound))
    throw new ConfigError(key, `is ${bound.toString()}, expected an address in ${network.toString()}`);
  const aligned = new Prefix(bound, subnetLength).address;
  if (!aligned.equals(bound)) {
    throw new ConfigError(
      key,
      `is ${bound.toString()}, expected the base of a /${subnetLength} like ${aligned.toString()}`,
    );
  }
}
