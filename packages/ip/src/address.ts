import { type AddressFamily, addressBits } from "./family.ts";
import { formatAddress } from "./format-address.ts";

/**
 * An IPv4 or IPv6 address: an immutable value, equal by content. Two addresses of different families are never equal, so
 * `::ffff:10.1.0.1` is not `10.1.0.1`; see {@linkcode Address.unmap}.
 *
 * @example Compute with an address
 * ```ts
 * import { parseAddress } from "@loden/ip";
 * import assert from "node:assert/strict";
 *
 * const base = parseAddress("10.5.34.0");
 * assert.equal(`${base.plus(1)}`, "10.5.34.1");
 * assert.equal(base.compare(parseAddress("10.5.33.255")), 1);
 * ```
 */
export class Address {
  /** `4` or `6`. */
  readonly family: AddressFamily;
  /** The address as one unsigned number in network order: below 2^32 for IPv4, below 2^128 for IPv6. */
  readonly value: bigint;

  /**
   * @param family - `4` or `6`.
   * @param value - The address as an unsigned number.
   * @throws {RangeError} If the family is neither, or the value does not fit it.
   */
  constructor(family: AddressFamily, value: bigint) {
    if (family !== 4 && family !== 6) {
      throw new RangeError(`Cannot create address: the family is ${String(family)}, expected 4 or 6`);
    }
    if (value < 0n || value > (family === 4 ? maximum4 : maximum6)) {
      const bits = addressBits(family);
      throw new RangeError(
        `Cannot create IPv${family} address: the value is ${value}, expected 0 to 2^${bits} - 1`,
      );
    }
    this.family = family;
    this.value = value;
  }

  /** All bits clear: `0.0.0.0` or `::`. */
  get isUnspecified(): boolean {
    return this.value === 0n;
  }

  /** Inside `127.0.0.0/8`, or `::1`. */
  get isLoopback(): boolean {
    return this.family === 4 ? this.value >> 24n === 127n : this.value === 1n;
  }

  /** Inside `224.0.0.0/4` or `ff00::/8`. */
  get isMulticast(): boolean {
    return this.family === 4 ? this.value >> 28n === 14n : this.value >> 120n === 0xffn;
  }

  /** Unicast and valid on one link only: inside `169.254.0.0/16` or `fe80::/10`. */
  get isLinkLocal(): boolean {
    return this.family === 4 ? this.value >> 16n === 0xa9fen : this.value >> 118n === 0x3fan;
  }

  /** Private by RFC 1918 (`10.0.0.0/8`, `172.16.0.0/12`, `192.168.0.0/16`) or RFC 4193 (`fc00::/7`). */
  get isPrivate(): boolean {
    const { value } = this;
    if (this.family === 6) return value >> 121n === 0x7en;
    return value >> 24n === 10n || value >> 20n === 0xac1n || value >> 16n === 0xc0a8n;
  }

  /**
   * Compares by content.
   *
   * @param other - The address to compare with.
   * @returns Whether family and value are the same.
   */
  equals(other: Address): boolean {
    return this.value === other.value && this.family === other.family;
  }

  /**
   * Orders addresses: IPv4 before IPv6, then by value. Fits `Array.prototype.sort`.
   *
   * @param other - The address to compare with.
   * @returns `-1`, `0` or `1`.
   */
  compare(other: Address): number {
    if (this.family !== other.family) return this.family < other.family ? -1 : 1;
    if (this.value === other.value) return 0;
    return this.value < other.value ? -1 : 1;
  }

  /**
   * The address a number of places further on; a negative offset goes back.
   *
   * @param offset - How far to go, a whole number.
   * @returns The address at that distance, of the same family.
   * @throws {RangeError} If that is past either end of the family, or the offset is no whole number.
   */
  plus(offset: bigint | number): Address {
    const value = this.value + BigInt(offset);
    if (value < 0n || value > (this.family === 4 ? maximum4 : maximum6)) {
      const range = this.family === 4 ? "0.0.0.0 to 255.255.255.255" : `:: to ${formatAddress(6, maximum6)}`;
      throw new RangeError(
        `Cannot add ${offset} to ${this.toString()}: the result is no IPv${this.family} address, expected one from ${range}`,
      );
    }
    return new Address(this.family, value);
  }

  /**
   * An IPv4-mapped IPv6 address (`::ffff:10.1.0.1`) as the IPv4 address inside it; any other address as it is.
   *
   * @returns The IPv4 address, or this one.
   */
  unmap(): Address {
    if (this.family === 4 || this.value >> 32n !== 0xffffn) return this;
    return new Address(4, this.value & maximum4);
  }

  /**
   * The bytes in network order.
   *
   * @returns A new array of 4 or 16 bytes.
   */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(addressBits(this.family) / 8);
    const view = new DataView(bytes.buffer);
    if (this.family === 4) {
      view.setUint32(0, Number(this.value));
    } else {
      view.setBigUint64(0, this.value >> 64n);
      view.setBigUint64(8, this.value & 0xffff_ffff_ffff_ffffn);
    }
    return bytes;
  }

  /**
   * An IPv4 address as an unsigned 32-bit number, most significant byte first.
   *
   * @returns A number from 0 to 2^32 - 1.
   * @throws {TypeError} If this is an IPv6 address, which does not fit.
   */
  toNumber(): number {
    if (this.family !== 4) {
      throw new TypeError(`Cannot convert address to a number: ${this.toString()} is IPv6, expected IPv4`);
    }
    return Number(this.value);
  }

  /**
   * The canonical text: `10.5.34.1`, or RFC 5952 for IPv6 (lower case, the first longest run of two or more zero groups
   * as `::`), which is what Go prints and flannel stores. An IPv4-mapped address keeps its family: `::ffff:10.1.0.1`.
   *
   * @returns The text; {@linkcode parseAddress} reads it back.
   */
  toString(): string {
    return formatAddress(this.family, this.value);
  }

  /**
   * The text of {@linkcode Address.toString}, for `JSON.stringify`.
   *
   * @returns The canonical text.
   */
  toJSON(): string {
    return this.toString();
  }
}

/**
 * An address from its bytes in network order.
 *
 * @param bytes - 4 bytes for IPv4, 16 for IPv6; read at once, not kept.
 * @returns The address.
 * @throws {RangeError} If there are neither 4 nor 16 bytes.
 */
export function addressFromBytes(bytes: Uint8Array): Address {
  if (bytes.length === 4)
    return new Address(
      4,
      BigInt(((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) >>> 0),
    );
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length === 16) return new Address(6, (view.getBigUint64(0) << 64n) | view.getBigUint64(8));
  throw new RangeError(`Cannot create address: there are ${bytes.length} bytes, expected 4 or 16`);
}

/**
 * An IPv4 address from an unsigned 32-bit number, most significant byte first.
 *
 * @param value - A whole number from 0 to 2^32 - 1.
 * @returns The address.
 * @throws {RangeError} If the number is out of that range or not whole.
 */
export function addressFromNumber(value: number): Address {
  if (!Number.isInteger(value)) {
    throw new RangeError(`Cannot create IPv4 address: the value is ${value}, expected a whole number`);
  }
  return new Address(4, BigInt(value));
}

const maximum4 = 0xffff_ffffn;
const maximum6 = (1n << 128n) - 1n;
