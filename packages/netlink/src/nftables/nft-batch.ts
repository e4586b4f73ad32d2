import { visitAttributes } from "../attribute.ts";
import { networkU32, writeNetworkU32 } from "./network-order.ts";
import { checkNftHeader, NFT_HEADER_BYTES, nftWriter } from "./nft-header.ts";

/** NFNL_SUBSYS_NFTABLES: whom a batch is for. */
const NFTABLES = 10;

/** What a batch begins with. */
export interface NftBatch {
  /**
   * Generation of the ruleset that the batch was made for (see {@link decodeNftGeneration}): when it has changed meanwhile the
   * kernel refuses the batch with ERESTART (85) and changes nothing.
   */
  readonly generation?: number | undefined;
}

/**
 * Writes the payload of a batchBegin message. Between it and batchEnd, in one send, stand the changes of one transaction.
 *
 * @param batch For which generation, if for one.
 * @returns Fresh bytes.
 */
export function encodeNftBatchBegin(batch: NftBatch = {}): Uint8Array {
  const writer = nftWriter(0, NFTABLES);
  if (batch.generation !== undefined) writeNetworkU32(writer, 1, batch.generation);
  return writer.finish();
}

/**
 * Writes the payload of a batchEnd message.
 *
 * @returns Fresh bytes.
 */
export function encodeNftBatchEnd(): Uint8Array {
  return nftWriter(0, NFTABLES).finish();
}

/**
 * Reads the payload of a newGeneration message, the answer to getGeneration (whose payload is that of
 * {@link encodeNftFilter} without a filter).
 *
 * @param bytes The payload.
 * @returns The number of the ruleset as it is: each commit by anybody in the namespace makes another one.
 * @throws {RangeError} The bytes are cut off or hold no generation.
 */
export function decodeNftGeneration(bytes: Uint8Array): number {
  checkNftHeader(bytes, "generation");
  let generation: number | undefined;
  visitAttributes(bytes, NFT_HEADER_BYTES, (type, value) => {
    if (type === 1) generation = networkU32(value);
  });
  if (generation === undefined)
    throw new RangeError("Cannot decode nftables generation: there is none, expected NFTA_GEN_ID");
  return generation;
}
