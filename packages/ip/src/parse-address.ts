import ipaddr from "ipaddr.js";
import { Address } from "./address.ts";
import type { AddressFamily } from "./family.ts";

/** Settings of {@linkcode parseAddress}. */
export interface ParseAddressOptions {
  /** The only family to accept; either when absent. */
  readonly family?: AddressFamily | undefined;
}

/**
 * Reads an address, strictly. IPv4 is four decimal numbers without leading zeros (`10.1` and `010.1.1.1` are errors,
 * where other parsers read 10.0.0.1 and 8.1.1.1). IPv6 is any form of RFC 4291 section 2.2, upper case and a dotted tail
 * included, without a zone (`%eth0`), brackets or spaces.
 *
 * @param text - The address and nothing else.
 * @param options - Which family to accept.
 * @returns The address.
 * @throws {SyntaxError} If the text is no address of an accepted family.
 *
 * @example Read and print
 * ```ts
 * import { parseAddress } from "@loden/ip";
 * import assert from "node:assert/strict";
 *
 * assert.equal(parseAddress("FD00:0:0::0001").toString(), "fd00::1");
 * assert.throws(() => parseAddress("010.1.1.1"), SyntaxError);
 * ```
 */
export function parseAddress(text: string, options: ParseAddressOptions = {}): Address {
  const family = options.family ?? (text.includes(":") ? 6 : 4);
  return family === 4 ? parseIPv4(text) : parseIPv6(text);
}

function parseIPv4(text: string): Address {
  const value = ipv4Value(text);
  if (value === undefined) throw ipv4Error(text, ipv4Problem(text));
  return new Address(4, BigInt(value));
}

/** `undefined` when it is none. Without objects in between: a list of leases has as many addresses as a network has hosts, twice. */
function ipv4Value(text: string): number | undefined {
  let [value, number, digits, dots] = [0, 0, 0, 0];
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === DOT) {
      if (digits === 0 || dots === 3) return undefined;
      value = value * 256 + number;
      [number, digits, dots] = [0, 0, dots + 1];
    } else {
      // A zero before other digits, or no digit.
      if ((digits > 0 && number === 0) || code < ZERO || code > ZERO + 9) return undefined;
      number = number * 10 + code - ZERO;
      digits += 1;
      if (number > 255) return undefined;
    }
  }
  return dots === 3 && digits > 0 ? value * 256 + number : undefined;
}

const DOT = 0x2e;
const ZERO = 0x30;

function ipv4Problem(text: string): string {
  const parts = text.split(".");
  if (parts.length !== 4) return "is not four numbers with dots between";
  const wrong = parts.find((part) => !/^[0-9]{1,3}$/.test(part) || Number(part) > 255);
  const zero = parts.find((part) => part.length > 1 && /^0[0-9]*$/.test(part));
  if (zero !== undefined && (wrong === undefined || parts.indexOf(zero) <= parts.indexOf(wrong))) {
    return "has a leading zero";
  }
  return `has the part ${quote(wrong ?? "")}`;
}

function ipv4Error(text: string, problem: string): SyntaxError {
  return new SyntaxError(
    `Cannot parse IPv4 address: ${quote(text)} ${problem}, expected four decimal numbers 0-255`,
  );
}

function parseIPv6(text: string): Address {
  // The dotted tail goes through the strict IPv4 parser: ipaddr.js would read octal there.
  const tail = /^(.*:)([^:]*\.[^:]*)$/.exec(text);
  const groups = tail === null ? text : `${tail[1]}${dottedGroups(text, tail[2] ?? "")}`;
  if (!isIPv6(groups)) throw ipv6Error(text, "is none");
  let value = 0n;
  for (const part of ipaddr.IPv6.parse(groups).parts) value = (value << 16n) | BigInt(part);
  return new Address(6, value);
}

function dottedGroups(text: string, dotted: string): string {
  try {
    const value = parseIPv4(dotted).toNumber();
    return `${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`;
  } catch (cause) {
    throw ipv6Error(text, `has the dotted tail ${quote(dotted)}`, { cause });
  }
}

/** The grammar of RFC 4291 section 2.2 without a dotted tail: ipaddr.js is asked only for what has passed. */
function isIPv6(text: string): boolean {
  const halves = text.split("::");
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === "" ? [] : half.split(":")));
  if (!groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return false;
  return halves.length === 1 ? groups.length === 8 : groups.length <= 7;
}

function ipv6Error(text: string, problem: string, options?: ErrorOptions): SyntaxError {
  return new SyntaxError(
    `Cannot parse IPv6 address: ${quote(text)} ${problem}, expected groups like fd00:1::2 without a zone`,
    options,
  );
}

/** Quotes foreign text for an error message, cut to a readable length. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 61)}...` : text);
}
