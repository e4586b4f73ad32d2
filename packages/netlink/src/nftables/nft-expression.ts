import { textOf, visitAttributes } from "../attribute.ts";
import { ByteWriter } from "../byte-writer.ts";
import { decodeKnownExpression } from "./decode-expression.ts";
import { COMPARE_OPERATORS, VERDICTS } from "./expression-numbers.ts";
import { writeNetworkU32, writeNetworkU64 } from "./network-order.ts";

/**
 * One step of a rule (linux/netfilter/nf_tables.h, as `nft --debug=netlink` shows them). Registers 1 to 4 hold 16 bytes each,
 * 8 to 23 are the same memory in words of 4.
 */
export type NftExpression =
  | NftMeta
  | NftPayload
  | NftBitwise
  | NftCompare
  | NftVerdict
  | NftMasquerade
  | NftCounter
  | NftOther;

/** Loads something about the packet that is not in it: `meta load mark => reg 1`. */
export interface NftMeta {
  readonly kind: "meta";
  /** {@link NftMetaKey} */
  readonly key: number;
  /** Where it goes, in host order. */
  readonly register: number;
}

/** Loads bytes of the packet: `payload load 4b @ network header + 12 => reg 1`. */
export interface NftPayload {
  readonly kind: "payload";
  /** 0 link layer, 1 network, 2 transport header, 3 inner header. */
  readonly base: number;
  /** Bytes from there. */
  readonly offset: number;
  /** How many bytes. */
  readonly length: number;
  /** Where they go, as they are in the packet. */
  readonly register: number;
}

/** Masks and inverts: `bitwise reg 1 = ( reg 1 & mask ) ^ xor`. */
export interface NftBitwise {
  readonly kind: "bitwise";
  /** Register that is read. */
  readonly source: number;
  /** Register that is written. */
  readonly destination: number;
  /** Bits to keep; as long as `xor`. */
  readonly mask: Uint8Array;
  /** Bits to invert then. */
  readonly xor: Uint8Array;
}

/** Goes on only when a register holds, or does not hold, a value: `cmp eq reg 1 0x0000050a`. */
export interface NftCompare {
  readonly kind: "compare";
  /** Register that is read. */
  readonly register: number;
  /** How: `<` and the like compare bytes from the first on. */
  readonly operator: "==" | "!=" | "<" | "<=" | ">" | ">=";
  /** As many bytes of the register are compared. */
  readonly value: Uint8Array;
}

/** Ends the rule: `immediate reg 0 accept`. */
export interface NftVerdict {
  readonly kind: "verdict";
  /** `return` goes on in the chain that jumped here, or to the policy; `continue` with the next rule. */
  readonly verdict: "accept" | "drop" | "continue" | "return" | "jump" | "goto";
  /** `jump` and `goto`: where to. */
  readonly chain?: string | undefined;
}

/** Gives the packet the address of the link that it leaves by: `masq`. */
export interface NftMasquerade {
  readonly kind: "masquerade";
  /** NF_NAT_RANGE_*: 0x4 random ports, 0x8 persistent, 0x10 fully random ports. 0 for none. */
  readonly flags: number;
}

/** Counts what comes by: `counter pkts 0 bytes 0`. */
export interface NftCounter {
  readonly kind: "counter";
  /** Packets so far. */
  readonly packets: bigint;
  /** Bytes of them, network headers included. */
  readonly bytes: bigint;
}

/** Anything else, verbatim: other expressions, and those above with attributes that have no field there. */
export interface NftOther {
  readonly kind: "other";
  /** The kernel's name for it: `lookup`, `match`, ... */
  readonly name: string;
  /** Its attributes (NFTA_EXPR_DATA). */
  readonly data: Uint8Array;
}

/** What {@link NftMeta} can load; there is more (NFT_META_*). */
export const NftMetaKey: {
  /** The packet's mark, 4 bytes in host order. */
  readonly mark: 3;
  /** Name of the link that it came in by, 16 bytes, padded with zeros. */
  readonly inputName: 6;
  /** {@link NftFamily} ip or ip6, 1 byte: which one a packet in a table of family inet is. */
  readonly family: 15;
  /** Protocol of the transport layer, 1 byte. */
  readonly transport: 16;
} = { mark: 3, inputName: 6, family: 15, transport: 16 };

/**
 * Writes expressions: the value of NFTA_RULE_EXPRESSIONS. Equal bytes are equal rules.
 *
 * @param expressions In order.
 * @returns Fresh bytes.
 */
export function encodeNftExpressions(expressions: Iterable<NftExpression>): Uint8Array {
  const writer = new ByteWriter();
  writeNftExpressions(writer, expressions);
  return writer.finish();
}

/**
 * Reads expressions: the inverse of {@link encodeNftExpressions}.
 *
 * @param bytes The value of NFTA_RULE_EXPRESSIONS.
 * @returns In order; byte values are views into `bytes`.
 * @throws {RangeError} The bytes are cut off.
 */
export function decodeNftExpressions(bytes: Uint8Array): NftExpression[] {
  const expressions: NftExpression[] = [];
  visitAttributes(bytes, 0, (_type, element) => {
    let name = "";
    let data: Uint8Array = new Uint8Array();
    visitAttributes(element, 0, (type, value) => {
      if (type === 1) name = textOf(value);
      else if (type === 2) data = value;
    });
    expressions.push(decodeKnownExpression(name, data) ?? { kind: "other", name, data });
  });
  return expressions;
}

/** Writes expressions into `writer`. */
export function writeNftExpressions(writer: ByteWriter, expressions: Iterable<NftExpression>): void {
  for (const expression of expressions)
    writer.nest(1, () => {
      writer.attributeText(1, nameOf(expression));
      writer.nest(2, () => writeData(writer, expression));
    });
}

function nameOf(expression: NftExpression): string {
  return expression.kind === "other" ? expression.name : KERNEL_NAMES[expression.kind];
}

const KERNEL_NAMES: Readonly<Record<Exclude<NftExpression["kind"], "other">, string>> = {
  meta: "meta",
  payload: "payload",
  bitwise: "bitwise",
  compare: "cmp",
  verdict: "immediate",
  masquerade: "masq",
  counter: "counter",
};

function writeData(writer: ByteWriter, expression: NftExpression): void {
  switch (expression.kind) {
    case "meta":
      writeNetworkU32(writer, 2, expression.key);
      return writeNetworkU32(writer, 1, expression.register);
    case "payload":
      writeNetworkU32(writer, 1, expression.register);
      writeNetworkU32(writer, 2, expression.base);
      writeNetworkU32(writer, 3, expression.offset);
      return writeNetworkU32(writer, 4, expression.length);
    case "bitwise":
      writeNetworkU32(writer, 1, expression.source);
      writeNetworkU32(writer, 2, expression.destination);
      writeNetworkU32(writer, 3, expression.mask.length);
      writer.nest(4, () => writer.attribute(1, expression.mask));
      return writer.nest(5, () => writer.attribute(1, expression.xor));
    case "compare":
      writeNetworkU32(writer, 1, expression.register);
      writeNetworkU32(writer, 2, COMPARE_OPERATORS.indexOf(expression.operator));
      return writer.nest(3, () => writer.attribute(1, expression.value));
    case "verdict":
      writeNetworkU32(writer, 1, 0);
      return writer.nest(2, () => writer.nest(2, () => writeVerdict(writer, expression)));
    case "masquerade":
      if (expression.flags !== 0) writeNetworkU32(writer, 1, expression.flags);
      return;
    case "counter":
      writeNetworkU64(writer, 1, expression.bytes);
      return writeNetworkU64(writer, 2, expression.packets);
    case "other":
      return writer.bytes(expression.data);
  }
}

function writeVerdict(writer: ByteWriter, { verdict, chain }: NftVerdict): void {
  writeNetworkU32(writer, 1, VERDICTS[verdict]);
  if (chain !== undefined) writer.attributeText(2, chain);
}
