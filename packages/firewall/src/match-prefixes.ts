import type { AddressFamily, Prefix } from "@loden/ip";
import { type NftCompare, type NftExpression, NftFamily, NftMetaKey } from "@loden/netlink";
import type { FirewallFamily } from "./firewall-plan.ts";

/** A condition on one address of a packet. */
export interface PrefixMatch {
  readonly field: "source" | "destination";
  readonly prefix: Prefix;
  /** True when the address must lie outside. */
  readonly not?: boolean;
}

/** The register that `nft` uses for everything. */
const REGISTER = 1;
const NETWORK_HEADER = 1;

/** Where the addresses are in the network header (RFC 791, RFC 8200). */
export const ADDRESS_OFFSETS: Readonly<Record<AddressFamily, Record<PrefixMatch["field"], number>>> = {
  4: { source: 12, destination: 16 },
  6: { source: 8, destination: 24 },
};

/**
 * Conditions as `nft` writes them: `ip saddr 10.5.0.0/16` loads and compares two bytes, `ip daddr 224.0.0.0/4` loads four and
 * masks them. In a table of family inet the packet's family is compared first.
 *
 * @param family Of the table.
 * @param matches All of one address family; at least one.
 */
export function matchPrefixes(family: FirewallFamily, matches: readonly PrefixMatch[]): NftExpression[] {
  const version = matches[0]!.prefix.family;
  return [
    ...(family === "inet" ? matchVersion(version) : []),
    ...matches.flatMap((match) => matchPrefix(match)),
  ];
}

/** Mark bits of a packet: `meta mark & BITS == BITS`. */
export function matchMark(bits: number): NftExpression[] {
  const value = new Uint8Array(new Uint32Array([bits]).buffer);
  return [
    { kind: "meta", key: NftMetaKey.mark, register: REGISTER },
    { kind: "bitwise", source: REGISTER, destination: REGISTER, mask: value, xor: new Uint8Array(4) },
    compare("==", value),
  ];
}

function matchVersion(version: AddressFamily): NftExpression[] {
  return [
    { kind: "meta", key: NftMetaKey.family, register: REGISTER },
    compare("==", Uint8Array.of(version === 4 ? NftFamily.ip : NftFamily.ip6)),
  ];
}

function matchPrefix({ field, prefix, not = false }: PrefixMatch): NftExpression[] {
  if (prefix.length === 0 && !not) return [];
  const bytes = prefix.address.toBytes();
  const operator = not ? "!=" : "==";
  const whole = prefix.length % 8 === 0 && prefix.length > 0;
  const length = whole ? prefix.length / 8 : bytes.length;
  const load: NftExpression = {
    kind: "payload",
    base: NETWORK_HEADER,
    offset: ADDRESS_OFFSETS[prefix.family][field],
    length,
    register: REGISTER,
  };
  if (whole) return [load, compare(operator, bytes.subarray(0, length))];
  const mask = maskOf(prefix.length, bytes.length);
  const xor = new Uint8Array(bytes.length);
  return [
    load,
    { kind: "bitwise", source: REGISTER, destination: REGISTER, mask, xor },
    compare(operator, bytes),
  ];
}

function maskOf(bits: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => {
    const set = Math.min(Math.max(bits - index * 8, 0), 8);
    return 0xff & (0xff << (8 - set));
  });
}

function compare(operator: "==" | "!=", value: Uint8Array): NftCompare {
  return { kind: "compare", register: REGISTER, operator, value };
}
