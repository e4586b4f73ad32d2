import { type Address, addressFromBytes, addressFromNumber } from "@loden/ip";
import { ByteWriter } from "./byte-writer.ts";

/**
 * One netlink attribute (struct nlattr): a type, two flag bits and a value.
 */
export interface Attribute {
  /** Type without the flag bits, 0-16383; what it means depends on the message it stands in. */
  readonly type: number;
  /** {@link AttributeFlag} bits of the type field. */
  readonly flags: number;
  /** The value without padding. A decoded value is a view into the bytes that were decoded: copy it to keep it. */
  readonly value: Uint8Array;
}

/** The two upper bits of an attribute's type field (linux/netlink.h: NLA_F_*). */
export const AttributeFlag: {
  /** The value is attributes again. */
  readonly nested: 0x8000;
  /** The value is a number in network byte order. */
  readonly networkOrder: 0x4000;
} = { nested: 0x8000, networkOrder: 0x4000 };

/**
 * Reads attributes that stand one after another, each padded to 4 bytes, and keeps every one verbatim.
 *
 * @param bytes The attributes; a nested attribute's `value` can be passed again.
 * @param start Offset of the first attribute.
 * @returns The attributes in wire order; values are views into `bytes`.
 * @throws {RangeError} An attribute is shorter than its header or longer than the rest.
 */
export function decodeAttributes(bytes: Uint8Array, start: number = 0): Attribute[] {
  const attributes: Attribute[] = [];
  visitAttributes(bytes, start, (type, value, flags) => attributes.push({ type, flags, value }));
  return attributes;
}

/**
 * Writes attributes one after another, each padded to 4 bytes: the inverse of {@link decodeAttributes}.
 *
 * @param attributes Attributes in the order they should have.
 * @returns Fresh bytes.
 * @throws {RangeError} A value is longer than 65,531 bytes.
 */
export function encodeAttributes(attributes: Iterable<Attribute>): Uint8Array {
  const writer = new ByteWriter();
  writeAttributes(writer, attributes);
  return writer.finish();
}

/** Writes attributes into `writer`; encoders use it for what was kept verbatim. */
export function writeAttributes(writer: ByteWriter, attributes: Iterable<Attribute>): void {
  for (const { type, flags, value } of attributes) writer.nest(type, () => writer.bytes(value), flags);
}

/**
 * Calls `visit` with the type, value and flags of each attribute from `start` on, without making objects for them.
 */
export function visitAttributes(
  bytes: Uint8Array,
  start: number,
  visit: (type: number, value: Uint8Array, flags: number) => void,
): void {
  locateAttributes(bytes, start, (type, from, to) =>
    visit(type & TYPE_BITS, bytes.subarray(from, to), type & ~TYPE_BITS),
  );
}

/** Bits of the type field that are the type; the others are flags. */
export const TYPE_BITS = 0x3fff;

/**
 * Calls `visit` with the type field (flags and all) of each attribute from `start` on, and where its value begins and ends. The
 * quickest way through thousands of messages.
 */
export function locateAttributes(
  bytes: Uint8Array,
  start: number,
  visit: (typeField: number, from: number, to: number) => void,
): void {
  let offset = start;
  while (offset + 4 <= bytes.length) {
    const length = bytes[offset]! | (bytes[offset + 1]! << 8);
    const type = bytes[offset + 2]! | (bytes[offset + 3]! << 8);
    if (length < 4 || offset + length > bytes.length)
      throw new RangeError(
        `Cannot decode netlink attribute: length ${length} at offset ${offset}, expected 4 to ${bytes.length - offset}`,
      );
    visit(type, offset + 4, offset + length);
    offset += (length + 3) & ~3;
  }
}

/** Reads a value of 1, 2 or 4 bytes as an unsigned number in host order; other lengths are a RangeError. */
export function numberOf(value: Uint8Array): number {
  switch (value.length) {
    case 1:
      return value[0]!;
    case 2:
      return value[0]! | (value[1]! << 8);
    case 4:
      return (value[0]! | (value[1]! << 8) | (value[2]! << 16) | (value[3]! << 24)) >>> 0;
    default:
      throw new RangeError(`Cannot decode netlink number: ${value.length} bytes, expected 1, 2 or 4`);
  }
}

/** Reads the number from `from` to `to` as {@link numberOf} does, without making a view of it where it has 32 bits. */
export function numberBetween(bytes: Uint8Array, from: number, to: number): number {
  if (to - from !== 4) return numberOf(bytes.subarray(from, to));
  return (bytes[from]! | (bytes[from + 1]! << 8) | (bytes[from + 2]! << 16) | (bytes[from + 3]! << 24)) >>> 0;
}

/** Reads the address from `from` to `to`, without making a view of it where it is an IPv4 one. */
export function addressBetween(bytes: Uint8Array, from: number, to: number): Address {
  if (to - from !== 4) return addressFromBytes(bytes.subarray(from, to));
  return addressFromNumber(
    ((bytes[from]! << 24) | (bytes[from + 1]! << 16) | (bytes[from + 2]! << 8) | bytes[from + 3]!) >>> 0,
  );
}

/** Reads a value as text, up to its first zero byte. Names are short and of ASCII, which a decoder takes longer for. */
export function textOf(value: Uint8Array): string {
  let text = "";
  for (const byte of value) {
    if (byte === 0) return text;
    if (byte > 0x7f) return decodeText(value);
    text += String.fromCharCode(byte);
  }
  return text;
}

function decodeText(value: Uint8Array): string {
  const end = value.indexOf(0);
  return decoder.decode(end < 0 ? value : value.subarray(0, end));
}

const decoder = new TextDecoder();
