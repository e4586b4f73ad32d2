import { type AddressFamily, addressBits } from "./family.ts";
import { parseAddress, quote } from "./parse-address.ts";
import { Prefix } from "./prefix.ts";

/** Settings of {@linkcode parsePrefix}. */
export interface ParsePrefixOptions {
  /** The only family to accept; either when absent. */
  readonly family?: AddressFamily | undefined;
  /** Whether host bits that are set are an error; they are cleared when `false`, the default, as flannel does. */
  readonly strict?: boolean | undefined;
}

/**
 * Reads a prefix in CIDR text, `ADDRESS/LENGTH`. The address is read as {@linkcode parseAddress} does; the length is
 * decimal without leading zeros.
 *
 * @param text - The prefix and nothing else.
 * @param options - Which family to accept, and whether host bits may be set.
 * @returns The prefix, its host bits cleared.
 * @throws {SyntaxError} If the text is no prefix of an accepted family, or has host bits set and `strict` is on.
 *
 * @example Host bits are cleared
 * ```ts
 * import { parsePrefix } from "@loden/ip";
 * import assert from "node:assert/strict";
 *
 * assert.equal(parsePrefix("10.5.3.1/16").toString(), "10.5.0.0/16");
 * assert.throws(() => parsePrefix("10.5.3.1/16", { strict: true }), SyntaxError);
 * ```
 */
export function parsePrefix(text: string, options: ParsePrefixOptions = {}): Prefix {
  const slash = text.indexOf("/");
  if (slash === -1) {
    throw new SyntaxError(`Cannot parse prefix: ${quote(text)} has no length, expected ADDRESS/LENGTH`);
  }
  const address = parseAddress(text.slice(0, slash), options);
  const bits = addressBits(address.family);
  const length = text.slice(slash + 1);
  if (!/^(0|[1-9][0-9]{0,2})$/.test(length) || Number(length) > bits) {
    throw new SyntaxError(
      `Cannot parse IPv${address.family} prefix: ${quote(text)} has the length ${quote(length)}, expected 0 to ${bits}`,
    );
  }
  const prefix = new Prefix(address, Number(length));
  if (options.strict === true && !prefix.address.equals(address)) {
    throw new SyntaxError(
      `Cannot parse prefix: ${quote(text)} has host bits set, expected the base ${prefix.toString()}`,
    );
  }
  return prefix;
}
