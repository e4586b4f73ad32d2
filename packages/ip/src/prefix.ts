import { Address } from "./address.ts";
import { type AddressFamily, addressBits } from "./family.ts";

/**
 * An address prefix, also called a CIDR block: a network base and the number of leading bits that are fixed. An immutable
 * value, equal by content.
 *
 * @example A network, its subnets and what lies inside
 * ```ts
 * import { parseAddress, parsePrefix } from "@loden/ip";
 * import assert from "node:assert/strict";
 *
 * const network = parsePrefix("10.5.0.0/16");
 * const [first] = network.subnets(24);
 * assert.equal(`${first} ${first?.next()}`, "10.5.0.0/24 10.5.1.0/24");
 * assert(network.contains(parseAddress("10.5.34.1")));
 * ```
 */
export class Prefix {
  /** The network base: the first address, all host bits clear. */
  readonly address: Address;
  /** How many leading bits are fixed: 0-32 for IPv4, 0-128 for IPv6. */
  readonly length: number;

  /**
   * @param address - Any address inside; its host bits are cleared.
   * @param length - How many leading bits are fixed.
   * @throws {RangeError} If the length is not a whole number from 0 to the width of the family.
   */
  constructor(address: Address, length: number) {
    const bits = addressBits(address.family);
    if (!Number.isInteger(length) || length < 0 || length > bits) {
      throw new RangeError(
        `Cannot create IPv${address.family} prefix: the length is ${length}, expected 0 to ${bits}`,
      );
    }
    const hostBits = BigInt(bits - length);
    const base = (address.value >> hostBits) << hostBits;
    this.address = base === address.value ? address : new Address(address.family, base);
    this.length = length;
  }

  /** `4` or `6`. */
  get family(): AddressFamily {
    return this.address.family;
  }

  /** How many addresses lie inside, network base and broadcast included. */
  get size(): bigint {
    return 1n << BigInt(addressBits(this.family) - this.length);
  }

  /** The last address inside. */
  get last(): Address {
    return new Address(this.family, this.address.value + this.size - 1n);
  }

  /**
   * Whether an address, or the whole of another prefix, lies inside. Nothing of another family does.
   *
   * @param other - An address or a prefix; a prefix contains itself.
   * @returns Whether all of it lies inside.
   */
  contains(other: Address | Prefix): boolean {
    if (other instanceof Prefix) return other.length >= this.length && this.contains(other.address);
    if (other.family !== this.family) return false;
    const hostBits = BigInt(addressBits(this.family) - this.length);
    return other.value >> hostBits === this.address.value >> hostBits;
  }

  /**
   * Whether two prefixes share an address, which means that one contains the other.
   *
   * @param other - The prefix to compare with.
   * @returns Whether any address lies in both.
   */
  overlaps(other: Prefix): boolean {
    return this.length <= other.length ? this.contains(other) : other.contains(this);
  }

  /**
   * Compares by content.
   *
   * @param other - The prefix to compare with.
   * @returns Whether base and length are the same.
   */
  equals(other: Prefix): boolean {
    return this.length === other.length && this.address.equals(other.address);
  }

  /**
   * Orders prefixes: by base address, then the wider one first. Fits `Array.prototype.sort`.
   *
   * @param other - The prefix to compare with.
   * @returns A negative number, `0` or a positive number.
   */
  compare(other: Prefix): number {
    return this.address.compare(other.address) || this.length - other.length;
  }

  /**
   * The prefix of the same length that follows.
   *
   * @returns The next prefix, or `undefined` at the end of the family.
   */
  next(): Prefix | undefined {
    const value = this.address.value + this.size;
    if (value >> BigInt(addressBits(this.family)) !== 0n) return undefined;
    return new Prefix(new Address(this.family, value), this.length);
  }

  /**
   * An address inside, by position.
   *
   * @param index - The position, from 0 for the base; a negative one counts from the end, -1 being the last.
   * @returns The address.
   * @throws {RangeError} If the prefix is not that large, or the index is no whole number.
   */
  nth(index: bigint | number): Address {
    const offset = BigInt(index) < 0n ? BigInt(index) + this.size : BigInt(index);
    if (offset < 0n || offset >= this.size) {
      throw new RangeError(
        `Cannot take address ${index} of ${this.toString()}: it holds ${this.size}, ` +
          `expected ${-this.size} to ${this.size - 1n}`,
      );
    }
    return new Address(this.family, this.address.value + offset);
  }

  /**
   * The prefixes of one length inside, in order. They are made one at a time, so a huge prefix costs nothing until it is
   * iterated; each iteration starts afresh.
   *
   * @param length - The length of each part, at least the length of this prefix.
   * @returns An iterable of 2^(length - this.length) prefixes.
   * @throws {RangeError} If the length is shorter than this prefix or longer than an address.
   */
  subnets(length: number): Iterable<Prefix> {
    const first = new Prefix(this.address, length);
    if (length < this.length) {
      throw new RangeError(
        `Cannot divide ${this.toString()}: the length is ${length}, expected at least ${this.length}`,
      );
    }
    return { [Symbol.iterator]: () => iterateSubnets(this, first) };
  }

  /**
   * The canonical text.
   *
   * @returns Text such as `10.5.0.0/16` or `fd00:5::/48`; {@linkcode parsePrefix} reads it back.
   */
  toString(): string {
    return `${this.address.toString()}/${this.length}`;
  }

  /**
   * The text of {@linkcode Prefix.toString}, for `JSON.stringify`.
   *
   * @returns The canonical text.
   */
  toJSON(): string {
    return this.toString();
  }
}

function* iterateSubnets(whole: Prefix, first: Prefix): Generator<Prefix, undefined> {
  const step = first.size;
  const end = whole.address.value + whole.size;
  for (let value = first.address.value; value < end; value += step) {
    yield new Prefix(new Address(whole.family, value), first.length);
  }
}
