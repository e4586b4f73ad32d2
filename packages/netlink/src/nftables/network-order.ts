import type { ByteWriter } from "../byte-writer.ts";

/** Writes an attribute with a 32-bit number in network order, as everything of nf_tables is; negative ones wrap. */
export function writeNetworkU32(writer: ByteWriter, type: number, value: number): void {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value >>> 0);
  writer.attribute(type, bytes);
}

/** Writes an attribute with a 64-bit number in network order. */
export function writeNetworkU64(writer: ByteWriter, type: number, value: bigint): void {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  writer.attribute(type, bytes);
}

/** Reads a value of 4 bytes in network order as an unsigned number; other lengths are a RangeError. */
export function networkU32(value: Uint8Array): number {
  return viewOf(value, 4).getUint32(0);
}

/** Reads a value of 8 bytes in network order; other lengths are a RangeError. */
export function networkU64(value: Uint8Array): bigint {
  return viewOf(value, 8).getBigUint64(0);
}

function viewOf(value: Uint8Array, length: number): DataView {
  if (value.length !== length)
    throw new RangeError(`Cannot decode netlink number: ${value.length} bytes, expected ${length}`);
  return new DataView(value.buffer, value.byteOffset, length);
}
