import { type Attribute, textOf, visitAttributes, writeAttributes } from "../attribute.ts";
import { networkU64, writeNetworkU64 } from "./network-order.ts";
import { decodeNftExpressions, type NftExpression, writeNftExpressions } from "./nft-expression.ts";
import { checkNftHeader, NFT_HEADER_BYTES, nftWriter } from "./nft-header.ts";

/** A rule: the payload of a newRule or deleteRule message (NFTA_RULE_*, linux/netfilter/nf_tables.h). */
export interface NftRule {
  /** {@link NftFamily} of its table. */
  readonly family: number;
  /** Name of its table. */
  readonly table: string;
  /** Name of its chain. In a deleteRule message without a handle all rules of the chain go. */
  readonly chain: string;
  /** The kernel's number for it, which is what identifies it in its table. */
  readonly handle?: bigint | undefined;
  /** In a request: handle of the rule to stand before, or with the flag append after. In a dump: of the rule before it. */
  readonly position?: bigint | undefined;
  /** What it does, in order. */
  readonly expressions?: readonly NftExpression[] | undefined;
  /** What programs noted there, as {@link encodeNftComment} writes it. */
  readonly userData?: Uint8Array | undefined;
  /** Attributes that have no field here, verbatim. */
  readonly other?: readonly Attribute[] | undefined;
}

/**
 * Writes the payload of a rule message. A newRule message goes to the end of the chain with the flag append, else to its head.
 *
 * @param rule The rule.
 * @returns Fresh bytes: struct nfgenmsg and attributes.
 */
export function encodeNftRule(rule: NftRule): Uint8Array {
  const { handle, position, expressions, userData, other } = rule;
  const writer = nftWriter(rule.family);
  writer.attributeText(1, rule.table);
  writer.attributeText(2, rule.chain);
  if (handle !== undefined) writeNetworkU64(writer, 3, handle);
  if (position !== undefined) writeNetworkU64(writer, 6, position);
  if (expressions) writer.nest(4, () => writeNftExpressions(writer, expressions));
  if (userData) writer.attribute(7, userData);
  if (other) writeAttributes(writer, other);
  return writer.finish();
}

/**
 * Reads the payload of a rule message.
 *
 * @param bytes The payload.
 * @returns Its fields; byte values are views into `bytes`.
 * @throws {RangeError} The bytes are cut off.
 */
export function decodeNftRule(bytes: Uint8Array): NftRule {
  checkNftHeader(bytes, "rule");
  const other: Attribute[] = [];
  let table = "";
  let chain = "";
  let handle: bigint | undefined;
  let position: bigint | undefined;
  let expressions: NftExpression[] | undefined;
  let userData: Uint8Array | undefined;
  visitAttributes(bytes, NFT_HEADER_BYTES, (type, value, flags) => {
    if (type === 1) table = textOf(value);
    else if (type === 2) chain = textOf(value);
    else if (type === 3) handle = networkU64(value);
    else if (type === 4) expressions = decodeNftExpressions(value);
    else if (type === 6) position = networkU64(value);
    else if (type === 7) userData = value;
    else other.push({ type, value, flags });
  });
  return {
    family: bytes[0]!,
    table,
    chain,
    ...(handle !== undefined && { handle }),
    ...(position !== undefined && { position }),
    ...(expressions && { expressions }),
    ...(userData && { userData }),
    ...(other.length > 0 && { other }),
  };
}
