import type { PacketAddress } from "./packet-address.ts";

/**
 * What an index finds a record by: one word, and a tag for family and prefix length, 1 to 33 for IPv4 and 34 to 162 for IPv6. An
 * IPv4 network is its word; of an IPv6 network the word is a fold, and only the record tells whether it is the right one.
 */
export interface IndexKey {
  readonly word: number;
  readonly tag: number;
}

/** Tag of an IPv6 network with prefix length 0; `length + 1` is the tag of an IPv4 network. */
export const ipv6Tag = 34;

const folder = 0x9e37_79b1;

/** Gives the key of a network whose host bits are clear. */
export function indexKey(network: PacketAddress, length: number): IndexKey {
  if (typeof network === "number") return { word: network | 0, tag: length + 1 };
  return { word: foldIpv6(network), tag: ipv6Tag + length };
}

/** Folds an IPv6 address into a word; networks that differ in one group of 32 bits alone have different ones. */
export function foldIpv6(address: bigint): number {
  let fold = 0;
  for (const shift of [96n, 64n, 32n, 0n]) {
    fold = (Math.imul(fold, folder) + Number((address >> shift) & 0xffff_ffffn)) | 0;
  }
  return fold ^ (fold >>> 15);
}
