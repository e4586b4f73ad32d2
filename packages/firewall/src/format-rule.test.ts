import type { NftExpression } from "@loden/netlink";
import { expect, test } from "vitest";
import { formatRule } from "./format-rule.ts";

const load = (offset: number, length: number): NftExpression => ({
  kind: "payload",
  base: 1,
  offset,
  length,
  register: 1,
});
const compare = (...bytes: number[]): NftExpression => ({
  kind: "compare",
  register: 1,
  operator: "==",
  value: Uint8Array.from(bytes),
});
const version = (number: number): NftExpression[] => [
  { kind: "meta", key: 15, register: 1 },
  compare(number),
];
const bitwise = (mask: number[], xor: number[] = mask.map(() => 0)): NftExpression => ({
  kind: "bitwise",
  source: 1,
  destination: 1,
  mask: Uint8Array.from(mask),
  xor: Uint8Array.from(xor),
});
const udp: NftExpression[] = [{ kind: "meta", key: 16, register: 1 }, compare(17)];
const port = (...bytes: number[]): NftExpression[] => [
  { kind: "payload", base: 2, offset: 2, length: 2, register: 1 },
  compare(...bytes),
];
const input = (operator: "==" | "!=", name: string): NftExpression[] => [
  { kind: "meta", key: 6, register: 1 },
  { kind: "compare", register: 1, operator, value: Uint8Array.from(Buffer.from(name.padEnd(16, "\0"))) },
];
const accept: NftExpression = { kind: "verdict", verdict: "accept" };

test.each<[string, "inet" | "ip", NftExpression[]]>([
  ["ip saddr 10.5.0.0/16 accept", "ip", [load(12, 2), compare(10, 5), accept]],
  ["ip saddr 10.5.0.0/16 accept", "inet", [...version(2), load(12, 2), compare(10, 5), accept]],
  ["ip daddr 10.5.0.1 accept", "ip", [load(16, 4), compare(10, 5, 0, 1), accept]],
  [
    "ip daddr 10.4.0.0/15 accept",
    "ip",
    [load(16, 4), bitwise([255, 254, 0, 0]), compare(10, 4, 0, 0), accept],
  ],
  ["ip6 saddr fd00::/8 accept", "inet", [...version(10), load(8, 1), compare(0xfd), accept]],
  ["meta nfproto ipv4 accept", "inet", [...version(2), accept]],
  ['meta nfproto ipv6 comment "all"', "inet", version(10)],
  ["meta mark == 0x00000001", "ip", [{ kind: "meta", key: 3, register: 1 }, compare(1, 0, 0, 0)]],
  ["masquerade", "ip", [{ kind: "masquerade", flags: 0 }]],
  ["masquerade random,fully-random,persistent", "ip", [{ kind: "masquerade", flags: 0x1c }]],
  [
    "counter packets 3 bytes 252 jump two",
    "ip",
    [
      { kind: "counter", packets: 3n, bytes: 252n },
      { kind: "verdict", verdict: "jump", chain: "two" },
    ],
  ],
  ["udp dport 8285", "ip", [...udp, ...port(0x20, 0x5d)]],
  [
    "ip saddr 10.5.0.0/16 udp dport 53",
    "inet",
    [...version(2), load(12, 2), compare(10, 5), ...udp, ...port(0, 53)],
  ],
  ["meta nfproto ipv6 udp dport 53 accept", "inet", [...version(10), ...udp, ...port(0, 53), accept]],
  ["meta l4proto udp ip saddr 10.5.0.0/16", "ip", [...udp, load(12, 2), compare(10, 5)]],
  ["meta l4proto udp accept", "ip", [...udp, accept]],
  ['iifname "eth0" accept', "ip", [...input("==", "eth0"), accept]],
  ['iifname != "a12345678901234"', "inet", input("!=", "a12345678901234")],
  // no words for these
  ["[compare ==]", "ip", [...port(0, 53)]],
  ["[compare ==]", "ip", [input("==", "eth0")[0]!, compare(0x65, 0x74)]],
  ["[compare ==] accept", "ip", [load(9, 1), compare(17), accept]],
  ["[compare ==] accept", "inet", [load(12, 2), compare(10, 5), accept]],
  ["[compare ==] accept", "ip", [load(12, 4), bitwise([255, 0, 255, 0]), compare(10, 0, 5, 0), accept]],
  ["[compare ==] accept", "ip", [load(12, 2), bitwise([255, 255], [1, 0]), compare(10, 5), accept]],
  [
    "[bitwise] [bitwise] [lookup] accept",
    "ip",
    [
      bitwise([255]),
      load(12, 1),
      bitwise([255]),
      bitwise([255]),
      { kind: "other", name: "lookup", data: new Uint8Array() },
      accept,
    ],
  ],
])("formatRule() writes %s in family %s", (text, family, expressions) => {
  const comment = text.includes("comment") ? { comment: "all" } : {};
  expect(formatRule(family, { expressions, ...comment })).toBe(text);
});
