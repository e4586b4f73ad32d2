import { ByteWriter } from "../byte-writer.ts";

/** Type of a comment in the user data of tables, chains and rules alike (NFTNL_UDATA_*_COMMENT). */
const COMMENT = 0;

/**
 * Writes user data that holds a comment, as `nft` does: entries of type, length and value, one byte each for the first two.
 *
 * @param comment At most 127 bytes of UTF-8 for `nft` to take it; at most 254 fit.
 * @returns Fresh bytes for the `userData` of a table, chain or rule.
 * @throws {RangeError} The comment is too long.
 */
export function encodeNftComment(comment: string): Uint8Array {
  const text = new TextEncoder().encode(comment);
  if (text.length > 254)
    throw new RangeError(`Cannot encode nftables comment: ${text.length} bytes, expected at most 254`);
  const writer = new ByteWriter();
  writer.u8(COMMENT);
  writer.u8(text.length + 1);
  writer.bytes(text);
  writer.u8(0);
  return writer.finish();
}

/**
 * Reads the comment out of user data.
 *
 * @param userData The `userData` of a table, chain or rule.
 * @returns The comment; `undefined` when there is none, or the bytes are not entries at all (anybody may write anything there).
 */
export function decodeNftComment(userData: Uint8Array | undefined): string | undefined {
  if (userData === undefined) return undefined;
  for (let offset = 0; offset + 2 <= userData.length;) {
    const end = offset + 2 + userData[offset + 1]!;
    if (end > userData.length) return undefined;
    if (userData[offset] === COMMENT) {
      const text = userData.subarray(offset + 2, end);
      const zero = text.indexOf(0);
      return new TextDecoder().decode(zero < 0 ? text : text.subarray(0, zero));
    }
    offset = end;
  }
  return undefined;
}
