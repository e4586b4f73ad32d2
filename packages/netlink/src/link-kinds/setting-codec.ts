import { type Address, addressFromBytes } from "@loden/ip";
import { type Attribute, numberOf, visitAttributes } from "../attribute.ts";
import type { ByteWriter } from "../byte-writer.ts";

/**
 * How a setting is written: `port` is 16 bits in network order, `boolean` a byte of 0 or 1, `flag` an attribute without a
 * value that is there or not, `address` an attribute of one type for IPv4 and of another for IPv6.
 */
type Form = "u8" | "u16" | "u32" | "port" | "boolean" | "flag" | "address";

/** The settings of a kind of link: name, form and attribute type; an address has a second type, for IPv6. */
export type SettingTable<T> = readonly (readonly [
  name: keyof T & string,
  form: Form,
  type: number,
  type6?: number,
])[];

/** Writes the settings that are given as attributes, in the table's order. */
export function writeSettings<T extends object>(
  writer: ByteWriter,
  table: SettingTable<T>,
  settings: Readonly<T>,
): void {
  for (const [name, form, type, type6 = type] of table) {
    const value: unknown = settings[name];
    if (value !== undefined) writeSetting(writer, form, type, type6, value);
  }
}

function writeSetting(writer: ByteWriter, form: Form, type: number, type6: number, value: unknown): void {
  switch (form) {
    case "u8":
      return writer.attributeU8(type, value as number);
    case "u16":
      return writer.attributeU16(type, value as number);
    case "u32":
      return writer.attributeU32(type, value as number);
    case "port": {
      const port = value as number;
      return writer.attribute(type, Uint8Array.of(port >> 8, port & 0xff));
    }
    case "boolean":
      return writer.attributeU8(type, Number(value));
    case "flag":
      return value ? writer.attribute(type, new Uint8Array()) : undefined;
    case "address": {
      const address = value as Address;
      return writer.attribute(address.family === 4 ? type : type6, address.toBytes());
    }
  }
}

/**
 * Reads the settings of a table.
 *
 * @param keep Receives what the table does not have, verbatim.
 */
export function readSettings<T extends object>(
  bytes: Uint8Array,
  table: SettingTable<T>,
  keep: (attribute: Attribute) => unknown,
): Partial<T> {
  const settings: Record<string, unknown> = {};
  visitAttributes(bytes, 0, (type, value, flags) => {
    const entry = table.find(([, , type4, type6]) => type4 === type || type6 === type);
    if (entry) settings[entry[0]] = readSetting(entry[1], value);
    else keep({ type, value, flags });
  });
  return settings as Partial<T>;
}

function readSetting(form: Form, value: Uint8Array): unknown {
  switch (form) {
    case "u8":
    case "u16":
    case "u32":
      return numberOf(value);
    case "port": {
      const port = numberOf(value);
      return ((port & 0xff) << 8) | (port >> 8);
    }
    case "boolean":
      return numberOf(value) !== 0;
    case "flag":
      return true;
    case "address":
      return addressFromBytes(value);
  }
}
