import { NftFamily, nftWriter } from "./nft-header.ts";

/** What a dump should hold; absent means any. */
export interface NftFilter {
  /** {@link NftFamily}. Default 0, any. */
  readonly family?: number | undefined;
  /** Rules: those of this table. */
  readonly table?: string | undefined;
  /** Rules: those of this chain. */
  readonly chain?: string | undefined;
}

/**
 * Writes the payload of a getTable, getChain or getRule dump request, and of getGeneration. Only a dump of rules can be
 * narrowed to a table and a chain; kernels before 4.12 send more than was asked for.
 *
 * @param filter What to list.
 * @returns Fresh bytes: struct nfgenmsg, NFTA_RULE_TABLE and NFTA_RULE_CHAIN.
 */
export function encodeNftFilter(filter: NftFilter = {}): Uint8Array {
  const writer = nftWriter(filter.family ?? NftFamily.any);
  if (filter.table !== undefined) writer.attributeText(1, filter.table);
  if (filter.chain !== undefined) writer.attributeText(2, filter.chain);
  return writer.finish();
}
