import { addressFromBytes, type AddressFamily, Prefix } from "@loden/ip";
import { addressFamilyNumber, addressFamilyOf } from "./address-family.ts";
import type { Attribute } from "./attribute.ts";
import { numberOf, textOf, visitAttributes, writeAttributes } from "./attribute.ts";
import { ByteWriter } from "./byte-writer.ts";

/**
 * A rule of policy routing: the payload of a newRule or deleteRule message (struct fib_rule_hdr and FRA_* attributes,
 * linux/fib_rules.h).
 */
export interface RuleMessage {
  /** `4` or `6`. */
  readonly family: AddressFamily;
  /** {@link RuleAction}. Default 1, look a table up. */
  readonly action?: number | undefined;
  /** Table to look up, 32 bits. */
  readonly table?: number | undefined;
  /** FIB_RULE_* bits: 2 turns the selectors round. Default 0. */
  readonly flags?: number | undefined;
  /** Type of service that packets must have. Default 0. */
  readonly typeOfService?: number | undefined;
  /** Prefix that the packet's source must lie in. */
  readonly from?: Prefix | undefined;
  /** Prefix that the packet's destination must lie in. */
  readonly to?: Prefix | undefined;
  /** Place in the order of rules, lower comes first. */
  readonly priority?: number | undefined;
  /** Firewall mark that packets must have. */
  readonly mark?: number | undefined;
  /** Bits of the mark that count. */
  readonly markMask?: number | undefined;
  /** Name of the link that packets came in by. */
  readonly inputLink?: string | undefined;
  /** Name of the link that packets are bound to. */
  readonly outputLink?: string | undefined;
  /** Pass over routes of that prefix length or less. */
  readonly suppressPrefixLength?: number | undefined;
  /** Who added it, numbered as route protocols are. */
  readonly protocol?: number | undefined;
  /** Attributes that have no field here, verbatim. */
  readonly other?: readonly Attribute[] | undefined;
}

/** What a rule does (linux/fib_rules.h: FR_ACT_*). */
export const RuleAction: {
  readonly lookup: 1;
  readonly goto: 2;
  readonly nop: 3;
  readonly blackhole: 6;
  readonly unreachable: 7;
  readonly prohibit: 8;
} = { lookup: 1, goto: 2, nop: 3, blackhole: 6, unreachable: 7, prohibit: 8 };

/**
 * Writes the payload of a rule message; without fields that of a getRule dump request of a family.
 *
 * @param rule The rule; only what is given is written.
 * @returns Fresh bytes: struct fib_rule_hdr and attributes.
 */
export function encodeRule(rule: RuleMessage): Uint8Array {
  const { family, from, to, table = 0, inputLink, outputLink, other } = rule;
  const writer = new ByteWriter();
  writer.u8(addressFamilyNumber(family));
  writer.u8(to?.length ?? 0);
  writer.u8(from?.length ?? 0);
  writer.u8(rule.typeOfService ?? 0);
  writer.u8(table > 255 ? 0 : table);
  writer.u16(0);
  writer.u8(rule.action ?? 1);
  writer.u32(rule.flags ?? 0);
  if (to && to.length > 0) writer.attribute(1, to.address.toBytes());
  if (from && from.length > 0) writer.attribute(2, from.address.toBytes());
  if (inputLink !== undefined) writer.attributeText(3, inputLink);
  if (outputLink !== undefined) writer.attributeText(17, outputLink);
  for (const [field, type] of numbers) {
    const value = rule[field];
    if (value !== undefined) writer.attributeU32(type, value);
  }
  if (table > 255) writer.attributeU32(15, table);
  if (rule.protocol !== undefined) writer.attributeU8(21, rule.protocol);
  if (other) writeAttributes(writer, other);
  return writer.finish();
}

/**
 * Reads the payload of a rule message.
 *
 * @param bytes The payload of a newRule or deleteRule message of family AF_INET or AF_INET6.
 * @returns Its fields; values of `other` are views into `bytes`.
 * @throws {RangeError} The bytes are cut off or of another family.
 */
export function decodeRule(bytes: Uint8Array): RuleMessage {
  if (bytes.length < 12)
    throw new RangeError(`Cannot decode rule message: ${bytes.length} bytes, expected at least 12`);
  const family = addressFamilyOf(bytes[0]);
  if (family === undefined)
    throw new RangeError(`Cannot decode rule message: address family ${bytes[0]}, expected 2 or 10`);
  const rule: { -readonly [K in keyof RuleMessage]: RuleMessage[K] } = {
    family,
    action: bytes[7]!,
    table: bytes[4]!,
    flags: numberOf(bytes.subarray(8, 12)),
  };
  if (bytes[3] !== 0) rule.typeOfService = bytes[3]!;
  const other: Attribute[] = [];
  visitAttributes(bytes, 12, (type, value, flags) => {
    const field = numbers.find((entry) => entry[1] === type)?.[0];
    if (field !== undefined) rule[field] = numberOf(value);
    else if (type === 1) rule.to = new Prefix(addressFromBytes(value), bytes[1]!);
    else if (type === 2) rule.from = new Prefix(addressFromBytes(value), bytes[2]!);
    else if (type === 3) rule.inputLink = textOf(value);
    else if (type === 15) rule.table = numberOf(value);
    else if (type === 17) rule.outputLink = textOf(value);
    else if (type === 21) rule.protocol = numberOf(value);
    else other.push({ type, value, flags });
  });
  if (other.length > 0) rule.other = other;
  return rule;
}

/** Fields whose attribute is one 32-bit number. */
const numbers = [
  ["priority", 6],
  ["mark", 10],
  ["markMask", 16],
  ["suppressPrefixLength", 14],
] as const satisfies readonly (readonly [keyof RuleMessage, number])[];
