/**
 * An IP address as a number, most significant bit first: an unsigned 32-bit number is IPv4, a bigint of 128 bits is IPv6. Where
 * `Address` of `@loden/ip` is at hand, `toNumber()` and `value` give them.
 */
export type PacketAddress = number | bigint;

/** The largest IPv6 address. */
export const lastIpv6: bigint = 2n ** 128n - 1n;

/** Whether a value is an address of either family: a whole number in its range. */
export function isPacketAddress(value: PacketAddress): boolean {
  if (typeof value === "bigint") return value >= 0n && value <= lastIpv6;
  return Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
}

/** Clears the bits of an IPv6 address after a prefix of `length` bits, 0 to 128. */
export function maskIpv6(address: bigint, length: number): bigint {
  const shift = BigInt(128 - length);
  return (address >> shift) << shift;
}

/** Reads an IPv6 address of 16 bytes in network order. */
export function readIpv6(view: DataView, at: number): bigint {
  return (view.getBigUint64(at, false) << 64n) | view.getBigUint64(at + 8, false);
}

/** Writes an IPv6 address as 16 bytes in network order. */
export function writeIpv6(view: DataView, at: number, address: bigint): void {
  view.setBigUint64(at, address >> 64n, false);
  view.setBigUint64(at + 8, address & 0xffff_ffff_ffff_ffffn, false);
}

/** Writes an address as text, for messages: dotted, or eight groups. */
export function formatPacketAddress(address: PacketAddress): string {
  if (typeof address === "number") return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
  const groups = address.toString(16).padStart(32, "0").match(/.{4}/g) ?? [];
  return groups.map((group) => Number.parseInt(group, 16).toString(16)).join(":");
}
