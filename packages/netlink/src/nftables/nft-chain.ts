import { type Attribute, textOf, visitAttributes, writeAttributes } from "../attribute.ts";
import type { ByteWriter } from "../byte-writer.ts";
import { networkU32, networkU64, writeNetworkU32, writeNetworkU64 } from "./network-order.ts";
import { checkNftHeader, NFT_HEADER_BYTES, nftWriter } from "./nft-header.ts";

/** Where the families ip, ip6 and inet let chains see packets (linux/netfilter.h: NF_INET_*). */
export const NftHook: {
  readonly prerouting: 0;
  readonly input: 1;
  readonly forward: 2;
  readonly output: 3;
  readonly postrouting: 4;
} = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 };

/** What makes a chain a base chain (NFTA_HOOK_*). */
export interface NftChainHook {
  /** {@link NftHook} */
  readonly number: number;
  /** Chains with lower numbers come first: 0 is `filter`, 100 `srcnat`. Signed 32 bits. */
  readonly priority: number;
  /** Families netdev and bridge: what binds it to devices, verbatim. */
  readonly other?: readonly Attribute[] | undefined;
}

/** A chain: the payload of a newChain or deleteChain message (NFTA_CHAIN_*, linux/netfilter/nf_tables.h). */
export interface NftChain {
  /** {@link NftFamily} of its table. */
  readonly family: number;
  /** Name of its table. */
  readonly table: string;
  readonly name: string;
  /** Base chains: `filter`, `nat` or `route`. */
  readonly type?: string | undefined;
  /** Base chains: where packets come from. Others are only jumped to. */
  readonly hook?: NftChainHook | undefined;
  /** Base chains: what becomes of packets that no rule decided on. */
  readonly policy?: "accept" | "drop" | undefined;
  /** The kernel's number for it. */
  readonly handle?: bigint | undefined;
  /** What programs noted there, as {@link encodeNftComment} writes it. */
  readonly userData?: Uint8Array | undefined;
  /** Attributes that have no field here, verbatim. */
  readonly other?: readonly Attribute[] | undefined;
}

/**
 * Writes the payload of a chain message.
 *
 * @param chain The chain.
 * @returns Fresh bytes: struct nfgenmsg and attributes.
 */
export function encodeNftChain(chain: NftChain): Uint8Array {
  const { type, hook, policy, handle, userData, other } = chain;
  const writer = nftWriter(chain.family);
  writer.attributeText(1, chain.table);
  if (handle !== undefined) writeNetworkU64(writer, 2, handle);
  writer.attributeText(3, chain.name);
  if (type !== undefined) writer.attributeText(7, type);
  if (policy !== undefined) writeNetworkU32(writer, 5, policy === "accept" ? 1 : 0);
  if (hook) writer.nest(4, () => writeHook(writer, hook));
  if (userData) writer.attribute(12, userData);
  if (other) writeAttributes(writer, other);
  return writer.finish();
}

/**
 * Reads the payload of a chain message.
 *
 * @param bytes The payload.
 * @returns Its fields; `userData` and the values of `other` are views into `bytes`.
 * @throws {RangeError} The bytes are cut off.
 */
export function decodeNftChain(bytes: Uint8Array): NftChain {
  checkNftHeader(bytes, "chain");
  const other: Attribute[] = [];
  let table = "";
  let name = "";
  let chainType: string | undefined;
  let hook: NftChainHook | undefined;
  let policy: number | undefined;
  let handle: bigint | undefined;
  let userData: Uint8Array | undefined;
  visitAttributes(bytes, NFT_HEADER_BYTES, (type, value, flags) => {
    if (type === 1) table = textOf(value);
    else if (type === 2) handle = networkU64(value);
    else if (type === 3) name = textOf(value);
    else if (type === 4) hook = decodeHook(value);
    else if (type === 5) policy = networkU32(value);
    else if (type === 7) chainType = textOf(value);
    else if (type === 12) userData = value;
    else other.push({ type, value, flags });
  });
  return {
    family: bytes[0]!,
    table,
    name,
    ...(chainType !== undefined && { type: chainType }),
    ...(hook && { hook }),
    ...(policy !== undefined && { policy: policy === 0 ? "drop" : "accept" }),
    ...(handle !== undefined && { handle }),
    ...(userData && { userData }),
    ...(other.length > 0 && { other }),
  };
}

function writeHook(writer: ByteWriter, hook: NftChainHook): void {
  writeNetworkU32(writer, 1, hook.number);
  writeNetworkU32(writer, 2, hook.priority);
  if (hook.other) writeAttributes(writer, hook.other);
}

function decodeHook(bytes: Uint8Array): NftChainHook {
  const other: Attribute[] = [];
  let number = 0;
  let priority = 0;
  visitAttributes(bytes, 0, (type, value, flags) => {
    if (type === 1) number = networkU32(value);
    else if (type === 2) priority = networkU32(value) | 0;
    else other.push({ type, value, flags });
  });
  return { number, priority, ...(other.length > 0 && { other }) };
}
