import { type Attribute, textOf, visitAttributes, writeAttributes } from "../attribute.ts";
import { networkU32, networkU64, writeNetworkU32, writeNetworkU64 } from "./network-order.ts";
import { checkNftHeader, NFT_HEADER_BYTES, nftWriter } from "./nft-header.ts";

/** A table: the payload of a newTable or deleteTable message (NFTA_TABLE_*, linux/netfilter/nf_tables.h). */
export interface NftTable {
  /** {@link NftFamily} */
  readonly family: number;
  /** Its name; the family and the name identify it. */
  readonly name: string;
  /** 1 dormant (its chains see no packets), 2 owned by the process that made it, 4 outlives its owner. Default 0. */
  readonly flags?: number | undefined;
  /** The kernel's number for it. */
  readonly handle?: bigint | undefined;
  /** Port id of the netlink socket that owns it: nobody else may change it. */
  readonly owner?: number | undefined;
  /** What programs noted there, as {@link encodeNftComment} writes it. */
  readonly userData?: Uint8Array | undefined;
  /** Attributes that have no field here, verbatim. */
  readonly other?: readonly Attribute[] | undefined;
}

/**
 * Writes the payload of a table message.
 *
 * @param table The table.
 * @returns Fresh bytes: struct nfgenmsg and attributes.
 */
export function encodeNftTable(table: NftTable): Uint8Array {
  const { flags, handle, owner, userData, other } = table;
  const writer = nftWriter(table.family);
  writer.attributeText(1, table.name);
  if (flags !== undefined) writeNetworkU32(writer, 2, flags);
  if (handle !== undefined) writeNetworkU64(writer, 4, handle);
  if (userData) writer.attribute(6, userData);
  if (owner !== undefined) writeNetworkU32(writer, 7, owner);
  if (other) writeAttributes(writer, other);
  return writer.finish();
}

/**
 * Reads the payload of a table message.
 *
 * @param bytes The payload.
 * @returns Its fields; `userData` and the values of `other` are views into `bytes`.
 * @throws {RangeError} The bytes are cut off.
 */
export function decodeNftTable(bytes: Uint8Array): NftTable {
  checkNftHeader(bytes, "table");
  const other: Attribute[] = [];
  let name = "";
  let tableFlags: number | undefined;
  let handle: bigint | undefined;
  let owner: number | undefined;
  let userData: Uint8Array | undefined;
  visitAttributes(bytes, NFT_HEADER_BYTES, (type, value, flags) => {
    if (type === 1) name = textOf(value);
    else if (type === 2) tableFlags = networkU32(value);
    else if (type === 4) handle = networkU64(value);
    else if (type === 6) userData = value;
    else if (type === 7) owner = networkU32(value);
    else other.push({ type, value, flags });
  });
  return {
    family: bytes[0]!,
    name,
    ...(tableFlags !== undefined && { flags: tableFlags }),
    ...(handle !== undefined && { handle }),
    ...(owner !== undefined && { owner }),
    ...(userData && { userData }),
    ...(other.length > 0 && { other }),
  };
}
