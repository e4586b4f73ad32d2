import type { AddressFamily } from "./family.ts";

/**
 * Writes the canonical text of an address.
 *
 * @param family - `4` or `6`.
 * @param value - The address as an unsigned number that fits the family.
 * @returns Dotted decimal, or RFC 5952 text with IPv4-mapped addresses as `::ffff:1.2.3.4`.
 */
export function formatAddress(family: AddressFamily, value: bigint): string {
  if (family === 4) return formatIPv4(Number(value));
  if (value >> 32n === 0xffffn) return `::ffff:${formatIPv4(Number(value & 0xffff_ffffn))}`;
  return formatGroups(splitGroups(value));
}

function formatIPv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

/** The eight 16-bit groups, most significant first. */
function splitGroups(value: bigint): number[] {
  const words = [
    value >> 96n,
    (value >> 64n) & 0xffff_ffffn,
    (value >> 32n) & 0xffff_ffffn,
    value & 0xffff_ffffn,
  ];
  return words.map(Number).flatMap((word) => [word >>> 16, word & 0xffff]);
}

function formatGroups(groups: readonly number[]): string {
  const { start, length } = longestZeroRun(groups);
  const text = groups.map((group) => group.toString(16));
  if (length < 2) return text.join(":");
  return `${text.slice(0, start).join(":")}::${text.slice(start + length).join(":")}`;
}

/** The first of the longest runs of zero groups (RFC 5952 section 4.2.3). */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let length = 0;
  for (const [index, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0;
    if (length > best.length) best = { start: index - length + 1, length };
  }
  return best;
}
