import { addressFromBytes, Prefix } from "@loden/ip";
import {
  type NftBitwise,
  type NftCompare,
  type NftExpression,
  NftFamily,
  NftMetaKey,
  type NftPayload,
} from "@loden/netlink";
import type { FirewallFamily, FirewallRule } from "./firewall-plan.ts";
import { PORT_OFFSET, UDP } from "./match-datagrams.ts";
import { ADDRESS_OFFSETS } from "./match-prefixes.ts";

/** What has been loaded and not been compared yet. */
interface Operand {
  readonly load: Extract<NftExpression, { kind: "meta" | "payload" }>;
  readonly bitwise?: NftBitwise;
}

type Protocol = "ip" | "ip6";

/**
 * Writes a rule in the language of `nft`. What this package never makes and has no words for stands in brackets, which `nft`
 * does not read.
 *
 * @param family Of the table, which decides what an address is.
 */
export function formatRule(family: FirewallFamily, { expressions, comment }: FirewallRule): string {
  const words: string[] = [];
  const operands = new Map<number, Operand>();
  let protocol: Protocol | undefined = family === "inet" ? undefined : family;
  let isUdp = false;
  // The comparison of the family goes without saying once an address is compared, that of the protocol once a port is.
  let unsaid: { readonly text: string; readonly until: "address" | "port" } | undefined;
  const say = (...said: readonly string[]): void => {
    if (unsaid !== undefined) words.push(unsaid.text);
    unsaid = undefined;
    words.push(...said);
  };
  for (const expression of expressions) {
    switch (expression.kind) {
      case "meta":
      case "payload":
        operands.set(expression.register, { load: expression });
        break;
      case "bitwise": {
        const operand = operands.get(expression.source);
        if (operand && !operand.bitwise)
          operands.set(expression.destination, { ...operand, bitwise: expression });
        else say("[bitwise]");
        break;
      }
      case "compare": {
        const operand = operands.get(expression.register);
        const checked = family === "inet" ? protocolOf(operand, expression) : undefined;
        if (checked) {
          protocol = checked;
          say();
          unsaid = { text: `meta nfproto ${checked === "ip" ? "ipv4" : "ipv6"}`, until: "address" };
          break;
        }
        if (comparesUdp(operand, expression)) {
          isUdp = true;
          say();
          unsaid = { text: "meta l4proto udp", until: "port" };
          break;
        }
        const address = protocol && addressMatch(protocol, operand, expression);
        const port = isUdp ? portMatch(operand, expression) : undefined;
        if ((address && unsaid?.until === "address") || (port && unsaid?.until === "port"))
          unsaid = undefined;
        say(address ?? port ?? otherMatch(operand, expression));
        break;
      }
      case "verdict":
      case "masquerade":
      case "counter":
      case "other":
        say(formatStatement(expression));
        break;
    }
  }
  if (comment !== undefined) say(`comment "${comment.replaceAll('"', "'")}"`);
  else say();
  return words.join(" ");
}

function protocolOf(operand: Operand | undefined, { operator, value }: NftCompare): Protocol | undefined {
  if (operand?.load.kind !== "meta" || operand.load.key !== NftMetaKey.family || operand.bitwise)
    return undefined;
  if (operator !== "==" || value.length !== 1) return undefined;
  if (value[0] === NftFamily.ip) return "ip";
  return value[0] === NftFamily.ip6 ? "ip6" : undefined;
}

function comparesUdp(operand: Operand | undefined, { operator, value }: NftCompare): boolean {
  if (operand?.load.kind !== "meta" || operand.load.key !== NftMetaKey.transport || operand.bitwise)
    return false;
  return operator === "==" && value.length === 1 && value[0] === UDP;
}

/** `udp dport 8285`; undefined when it is not about that. */
function portMatch(operand: Operand | undefined, { operator, value }: NftCompare): string | undefined {
  if (operand?.load.kind !== "payload" || operand.bitwise || operator !== "==") return undefined;
  const { base, offset, length } = operand.load;
  if (base !== 2 || offset !== PORT_OFFSET || length !== 2 || value.length !== 2) return undefined;
  return `udp dport ${(value[0]! << 8) | value[1]!}`;
}

/** `ip saddr != 10.5.0.0/16`; undefined when it is not about an address. */
function addressMatch(
  protocol: Protocol,
  operand: Operand | undefined,
  { operator, value }: NftCompare,
): string | undefined {
  if (operand?.load.kind !== "payload" || operand.load.base !== 1 || (operator !== "==" && operator !== "!="))
    return undefined;
  const { load, bitwise } = operand;
  const offsets = ADDRESS_OFFSETS[protocol === "ip" ? 4 : 6];
  const field =
    load.offset === offsets.source ? "saddr" : load.offset === offsets.destination ? "daddr" : undefined;
  const bits = prefixLength(load, bitwise);
  const size = protocol === "ip" ? 4 : 16;
  if (field === undefined || bits === undefined || load.length > size || value.length !== load.length)
    return undefined;
  const bytes = new Uint8Array(size);
  bytes.set(value);
  const prefix = new Prefix(addressFromBytes(bytes), bits).toString();
  const text = bits === size * 8 ? prefix.slice(0, prefix.indexOf("/")) : prefix;
  return `${protocol} ${field} ${operator === "!=" ? "!= " : ""}${text}`;
}

/** How many bits count: all that were loaded, or those that a mask without holes leaves. */
function prefixLength(load: NftPayload, bitwise: NftBitwise | undefined): number | undefined {
  if (!bitwise) return load.length * 8;
  if (bitwise.xor.some((byte) => byte !== 0)) return undefined;
  const bits = Array.from(bitwise.mask, (byte) => byte.toString(2).padStart(8, "0")).join("");
  const length = bits.indexOf("0") < 0 ? bits.length : bits.indexOf("0");
  return bits.includes("1", length) ? undefined : length;
}

function otherMatch(operand: Operand | undefined, { operator, value }: NftCompare): string {
  const { load, bitwise } = operand ?? {};
  const key = load?.kind === "meta" ? load.key : undefined;
  if (key === NftMetaKey.inputName && value.length === 16 && !bitwise)
    return `iifname ${operator === "==" ? "" : `${operator} `}"${nameOf(value)}"`;
  const isMark = key === NftMetaKey.mark && value.length === 4;
  if (!isMark || (bitwise && bitwise.xor.some((byte) => byte !== 0))) return `[compare ${operator}]`;
  const mask = bitwise ? ` & ${hostOrder(bitwise.mask)}` : "";
  return `meta mark${mask} ${operator} ${hostOrder(value)}`;
}

/** A link's name, which zeros fill up. */
function nameOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function hostOrder(bytes: Uint8Array): string {
  const number = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
  return `0x${number.toString(16).padStart(8, "0")}`;
}

function formatStatement(
  expression: Extract<NftExpression, { kind: "verdict" | "masquerade" | "counter" | "other" }>,
): string {
  switch (expression.kind) {
    case "verdict":
      return expression.chain === undefined
        ? expression.verdict
        : `${expression.verdict} ${expression.chain}`;
    case "masquerade": {
      const flags = NAT_FLAGS.filter(([bit]) => expression.flags & bit).map(([, name]) => name);
      return ["masquerade", ...(flags.length > 0 ? [flags.join(",")] : [])].join(" ");
    }
    case "counter":
      return `counter packets ${expression.packets} bytes ${expression.bytes}`;
    case "other":
      return `[${expression.name}]`;
  }
}

/** NF_NAT_RANGE_* */
const NAT_FLAGS: readonly (readonly [bit: number, name: string])[] = [
  [0x4, "random"],
  [0x10, "fully-random"],
  [0x8, "persistent"],
];
