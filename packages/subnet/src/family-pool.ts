import { Address, addressBits, Prefix } from "@loden/ip";
import type { FamilyNetwork } from "./network-config.ts";
import type { Slots } from "./slots.ts";
import { createSlots } from "./wide-slots.ts";

/**
 * The subnets of one family: which are reserved, and which are left. Not exported from the package; `SubnetAllocator`
 * joins two of them.
 */
export class FamilyPool {
  readonly #family: FamilyNetwork;
  readonly #slots: Slots;
  /** How many host bits a subnet has. */
  readonly #hostBits: number;
  /** How often each prefix that is no subnet of this network, by its length or place, is reserved. */
  readonly #others = new Map<string, number>();

  constructor(family: FamilyNetwork) {
    this.#family = family;
    this.#hostBits = addressBits(family.network.family) - family.subnetLength;
    const height = family.subnetLength - family.network.length;
    this.#slots = createSlots(height);
    blockRange(this.#slots, 0n, this.#slotOf(family.subnetMin));
    blockRange(this.#slots, this.#slotOf(family.subnetMax) + 1n, 1n << BigInt(height));
  }

  /** How many subnets are free. */
  get free(): bigint {
    return this.#slots.free;
  }

  /** The network that the subnets are part of. */
  get family(): FamilyNetwork {
    return this.#family;
  }

  reserve(prefix: Prefix): void {
    if (this.#isSubnet(prefix)) {
      this.#slots.take(this.#slotOf(prefix.address));
      return;
    }
    const key = prefix.toString();
    const count = this.#others.get(key) ?? 0;
    this.#others.set(key, count + 1);
    if (count === 0 && prefix.overlaps(this.#family.network)) this.#slots.block(...this.#range(prefix));
  }

  release(prefix: Prefix): boolean {
    if (this.#isSubnet(prefix)) return this.#slots.release(this.#slotOf(prefix.address));
    const key = prefix.toString();
    const count = this.#others.get(key);
    if (count === undefined) return false;
    if (count > 1) {
      this.#others.set(key, count - 1);
      return true;
    }
    this.#others.delete(key);
    if (prefix.overlaps(this.#family.network)) this.#slots.unblock(...this.#range(prefix));
    return true;
  }

  isFree(prefix: Prefix): boolean {
    return this.#isSubnet(prefix) && this.#slots.isFree(this.#slotOf(prefix.address));
  }

  nthFree(index: bigint): Prefix {
    const offset = this.#slots.nthFree(index) << BigInt(this.#hostBits);
    const { network, subnetLength } = this.#family;
    return new Prefix(new Address(network.family, network.address.value + offset), subnetLength);
  }

  #isSubnet(prefix: Prefix): boolean {
    return prefix.length === this.#family.subnetLength && this.#family.network.contains(prefix);
  }

  #slotOf(address: Address): bigint {
    return (address.value - this.#family.network.address.value) >> BigInt(this.#hostBits);
  }

  /** The slots that a prefix inside or around the network overlaps, as first slot and height. */
  #range(prefix: Prefix): [bigint, number] {
    const { network, subnetLength } = this.#family;
    if (prefix.length <= network.length) return [0n, subnetLength - network.length];
    return [this.#slotOf(prefix.address), Math.max(0, subnetLength - prefix.length)];
  }
}

/** Blocks the slots from `start` up to `end`, not included, in as few aligned blocks as there can be. */
function blockRange(slots: Slots, start: bigint, end: bigint): void {
  let height = 0;
  let first = start;
  while (first < end) {
    while (first % (2n << BigInt(height)) === 0n && first + (2n << BigInt(height)) <= end) height += 1;
    while (first + (1n << BigInt(height)) > end) height -= 1;
    slots.block(first, height);
    first += 1n << BigInt(height);
  }
}
