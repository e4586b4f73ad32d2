/**
 * What an overlay network is made of before any packet moves: its configuration in flannel's JSON, the allocator that
 * picks a free subnet for a host, and the `subnet.env` text that tells containers about it. Pure; runs wherever
 * JavaScript runs.
 *
 * @example From a config to a subnet
 * ```ts
 * import { createSubnetAllocator, formatSubnet, parseNetworkConfig } from "@loden/subnet";
 * import assert from "node:assert/strict";
 *
 * const config = parseNetworkConfig(`{ "Network": "10.5.0.0/16" }`);
 * const allocator = createSubnetAllocator(config, { strategy: "sequential" });
 * assert.equal(formatSubnet(allocator.allocate()), "10.5.1.0/24");
 * ```
 *
 * @module
 */
export { backendOption } from "./backend-option.ts";
export type { BackendOptionsByType, BackendType } from "./backend-options.ts";
export { ConfigError } from "./config-error.ts";
export { findAssignment } from "./find-assignment.ts";
export { isUsable } from "./is-usable.ts";
export {
  type BackendConfig,
  familyNetwork,
  type FamilyNetwork,
  type NetworkConfig,
} from "./network-config.ts";
export { parseBackendOptions } from "./parse-backend-options.ts";
export { parseNetworkConfig } from "./parse-network-config.ts";
export { formatSubnet, sameSubnet, type Subnet, subnetsOverlap } from "./subnet.ts";
export {
  type AllocateOptions,
  createSubnetAllocator,
  SubnetAllocator,
  type SubnetAllocatorOptions,
} from "./subnet-allocator.ts";
export { formatSubnetEnv, parseSubnetEnv, type SubnetEnv } from "./subnet-env.ts";
export { SubnetExhaustedError } from "./subnet-exhausted-error.ts";
