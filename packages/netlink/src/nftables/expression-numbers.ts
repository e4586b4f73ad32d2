import type { NftCompare, NftVerdict } from "./nft-expression.ts";

/** The operators of a comparison in the order of their numbers (NFT_CMP_*). */
export const COMPARE_OPERATORS: readonly NftCompare["operator"][] = ["==", "!=", "<", "<=", ">", ">="];

/** Verdicts by name (NF_* and NFT_*): those of nf_tables are negative. */
export const VERDICTS: Readonly<Record<NftVerdict["verdict"], number>> = {
  drop: 0,
  accept: 1,
  continue: -1,
  jump: -3,
  goto: -4,
  return: -5,
};
