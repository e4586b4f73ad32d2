import type { AddressFamily, Prefix } from "@loden/ip";
import { FamilyPool } from "./family-pool.ts";
import type { FamilyNetwork, NetworkConfig } from "./network-config.ts";
import { randomBelow } from "./random-below.ts";
import type { Subnet } from "./subnet.ts";
import { SubnetExhaustedError } from "./subnet-exhausted-error.ts";

/** Settings of {@linkcode createSubnetAllocator}. */
export interface SubnetAllocatorOptions {
  /**
   * How to choose: `random` draws evenly among all free subnets, so that hosts that choose at the same time rarely
   * collide; `sequential` takes the lowest free one. `random` when absent.
   */
  readonly strategy?: "random" | "sequential" | undefined;
  /** Where chance comes from: a number from 0 to below 1 per call. `Math.random` when absent. */
  readonly random?: (() => number) | undefined;
}

/** Settings of {@linkcode SubnetAllocator.allocate}. */
export interface AllocateOptions {
  /** The subnet to take if it is free and fits the config, each family by itself; otherwise the strategy chooses. */
  readonly preferred?: Subnet | undefined;
}

/**
 * Creates an allocator for the subnets of a network, all free at first. Memory follows what is reserved, not the size of
 * the network.
 *
 * @param config - The network; the allocator does not change it.
 * @param options - How to choose.
 * @returns The allocator.
 *
 * @example Reserve, allocate, free
 * ```ts
 * import { parsePrefix } from "@loden/ip";
 * import { createSubnetAllocator, parseNetworkConfig } from "@loden/subnet";
 * import assert from "node:assert/strict";
 *
 * const config = parseNetworkConfig(`{ "Network": "10.5.0.0/16" }`);
 * const allocator = createSubnetAllocator(config, { strategy: "sequential" });
 * allocator.reserve(parsePrefix("10.5.0.0/22"));
 * assert.equal(`${allocator.allocate().ipv4}`, "10.5.4.0/24");
 * allocator.free(parsePrefix("10.5.0.0/22"));
 * assert.equal(`${allocator.allocate().ipv4}`, "10.5.1.0/24");
 * ```
 */
export function createSubnetAllocator(
  config: NetworkConfig,
  options: SubnetAllocatorOptions = {},
): SubnetAllocator {
  return new SubnetAllocator(config, options);
}

/**
 * Knows which subnets of a network are free and picks one. Both families are picked independently, as flannel does.
 * Every operation takes a number of steps bounded by the bits of a subnet number, however full the network is.
 *
 * Reservations are counted: what was reserved twice is free again after two {@linkcode SubnetAllocator.free} calls.
 */
export class SubnetAllocator {
  readonly #pools: { readonly 4: FamilyPool | undefined; readonly 6: FamilyPool | undefined };
  readonly #sequential: boolean;
  readonly #random: () => number;

  /**
   * @param config - The network.
   * @param options - How to choose.
   */
  constructor(config: NetworkConfig, options: SubnetAllocatorOptions = {}) {
    this.#pools = { 4: createPool(config.ipv4), 6: createPool(config.ipv6) };
    this.#sequential = options.strategy === "sequential";
    this.#random = options.random ?? Math.random;
  }

  /** How many subnets are free in each enabled family. */
  get available(): { readonly ipv4: bigint | undefined; readonly ipv6: bigint | undefined } {
    return { ipv4: this.#pools[4]?.free, ipv6: this.#pools[6]?.free };
  }

  /**
   * Picks a free subnet and reserves it.
   *
   * @param options - A preference.
   * @returns A subnet with each enabled family. {@linkcode SubnetAllocator.free} gives it back.
   * @throws {SubnetExhaustedError} `ERR_SUBNET_EXHAUSTED` if a family has no free subnet; nothing is reserved then.
   */
  allocate(options: AllocateOptions = {}): Subnet {
    const ipv4 = this.#choose(this.#pools[4], options.preferred?.ipv4);
    const ipv6 = this.#choose(this.#pools[6], options.preferred?.ipv6);
    const subnet: Subnet = { ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) };
    this.reserve(subnet);
    return subnet;
  }

  /**
   * Blocks every subnet that overlaps, until the same is freed. A prefix may be wider or narrower than a subnet, or lie
   * outside of the network, where it blocks nothing. A family that is not enabled is passed over.
   *
   * @param what - The subnet of a lease, or any prefix.
   */
  reserve(what: Subnet | Prefix): void {
    for (const prefix of prefixesOf(what)) this.#poolOf(prefix.family)?.reserve(prefix);
  }

  /**
   * Undoes one reservation of exactly this subnet or prefix; what overlaps it stays reserved.
   *
   * @param what - What was reserved or allocated.
   * @returns Whether all of it was reserved. What was not is left as it is.
   */
  free(what: Subnet | Prefix): boolean {
    const freed = prefixesOf(what).map((prefix) => this.#poolOf(prefix.family)?.release(prefix) ?? false);
    return freed.every(Boolean);
  }

  /**
   * Whether {@linkcode SubnetAllocator.allocate} could pick this: it is a subnet of the network by length and range, and
   * no reservation overlaps it. All families of a subnet must be free; those that are absent are not asked for.
   *
   * @param what - A subnet, or a prefix of one family.
   * @returns Whether it is free.
   */
  isFree(what: Subnet | Prefix): boolean {
    return prefixesOf(what).every((prefix) => this.#poolOf(prefix.family)?.isFree(prefix) ?? false);
  }

  #poolOf(family: AddressFamily): FamilyPool | undefined {
    return this.#pools[family];
  }

  #choose(pool: FamilyPool | undefined, preferred: Prefix | undefined): Prefix | undefined {
    if (pool === undefined) return undefined;
    if (preferred !== undefined && pool.isFree(preferred)) return preferred;
    const { free } = pool;
    if (free === 0n) throw new SubnetExhaustedError(pool.family);
    return pool.nthFree(this.#sequential ? 0n : randomBelow(free, this.#random));
  }
}

function createPool(family: FamilyNetwork | undefined): FamilyPool | undefined {
  return family && new FamilyPool(family);
}

function prefixesOf(what: Subnet | Prefix): Prefix[] {
  if ("address" in what) return [what];
  return [what.ipv4, what.ipv6].filter((prefix) => prefix !== undefined);
}
