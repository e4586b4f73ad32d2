/**
 * IPv4 and IPv6 addresses and prefixes: strict parsing, canonical text, containment, overlap, iteration and sets with
 * longest match. Pure; runs wherever JavaScript runs.
 *
 * @example Is this address inside that network?
 * ```ts
 * import { parseAddress, parsePrefix } from "@loden/ip";
 * import assert from "node:assert/strict";
 *
 * const network = parsePrefix("10.5.0.0/16");
 * assert(network.contains(parseAddress("10.5.34.1")));
 * assert(!network.contains(parseAddress("10.6.0.1")));
 * ```
 *
 * @module
 */
export { Address, addressFromBytes, addressFromNumber } from "./address.ts";
export { addressBits, type AddressFamily } from "./family.ts";
export { parseAddress, type ParseAddressOptions } from "./parse-address.ts";
export { parsePrefix, type ParsePrefixOptions } from "./parse-prefix.ts";
export { Prefix } from "./prefix.ts";
export { PrefixSet } from "./prefix-set.ts";
