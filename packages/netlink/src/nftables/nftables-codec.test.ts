import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeAttributes } from "../attribute.ts";
import { decodeNftChain, encodeNftChain } from "./nft-chain.ts";
import { decodeNftComment, encodeNftComment } from "./nft-comment.ts";
import { decodeNftExpressions, encodeNftExpressions, type NftExpression } from "./nft-expression.ts";
import { decodeNftRule, encodeNftRule } from "./nft-rule.ts";
import { decodeNftTable, encodeNftTable } from "./nft-table.ts";

const u8 = fc.integer({ min: 0, max: 0xff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const i32 = fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff });
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const text = fc.stringMatching(/^[A-Za-z][\w.-]{0,30}$/);
const value = fc.uint8Array({ minLength: 1, maxLength: 16 });
const other = fc.array(
  fc.record({ type: fc.integer({ min: 900, max: 999 }), flags: fc.constant(0), value }),
  {
    minLength: 1,
    maxLength: 3,
  },
);

const expression: fc.Arbitrary<NftExpression> = fc.oneof(
  fc.record({ kind: fc.constant("meta" as const), key: u32, register: u32 }),
  fc.record({ kind: fc.constant("payload" as const), base: u32, offset: u32, length: u32, register: u32 }),
  fc
    .record({ source: u32, destination: u32, pairs: fc.array(fc.tuple(u8, u8), { maxLength: 16 }) })
    .map(({ source, destination, pairs }) => ({
      kind: "bitwise" as const,
      source,
      destination,
      mask: Uint8Array.from(pairs, ([mask]) => mask),
      xor: Uint8Array.from(pairs, ([, xor]) => xor),
    })),
  fc.record({
    kind: fc.constant("compare" as const),
    register: u32,
    operator: fc.constantFrom("==", "!=", "<", "<=", ">", ">="),
    value,
  }),
  fc.record({
    kind: fc.constant("verdict" as const),
    verdict: fc.constantFrom("accept", "drop", "continue", "return"),
  }),
  fc.record({
    kind: fc.constant("verdict" as const),
    verdict: fc.constantFrom("jump", "goto"),
    chain: text,
  }),
  fc.record({ kind: fc.constant("masquerade" as const), flags: u32 }),
  fc.record({ kind: fc.constant("counter" as const), packets: u64, bytes: u64 }),
  fc
    .record({ name: fc.constantFrom("lookup", "match", "xt", "ct"), attributes: other })
    .map(({ name, attributes }) => ({ kind: "other" as const, name, data: encodeAttributes(attributes) })),
);

function some<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<Partial<T>> {
  return fc.record(model, { requiredKeys: [] }) as fc.Arbitrary<Partial<T>>;
}

const table = fc
  .tuple(
    fc.record({ family: u8, name: text }),
    some({ flags: u32, handle: u64, owner: u32, userData: value, other }),
  )
  .map(([required, optional]) => ({ ...required, ...optional }));

const chain = fc
  .tuple(
    fc.record({ family: u8, table: text, name: text }),
    some({
      type: fc.constantFrom("filter", "nat", "route"),
      hook: fc.record({ number: u32, priority: i32 }),
      policy: fc.constantFrom("accept" as const, "drop" as const),
      handle: u64,
      userData: value,
      other,
    }),
  )
  .map(([required, optional]) => ({ ...required, ...optional }));

const rule = fc
  .tuple(
    fc.record({ family: u8, table: text, chain: text }),
    some({
      handle: u64,
      position: u64,
      expressions: fc.array(expression, { maxLength: 6 }),
      userData: value,
      other,
    }),
  )
  .map(([required, optional]) => ({ ...required, ...optional }));

describe("round trips", () => {
  test("decodeNftTable() gives what encodeNftTable() was given", () => {
    fc.assert(
      fc.property(table, (one) => {
        expect(decodeNftTable(encodeNftTable(one))).toEqual(one);
      }),
    );
  });

  test("decodeNftChain() gives what encodeNftChain() was given", () => {
    fc.assert(
      fc.property(chain, (one) => {
        expect(decodeNftChain(encodeNftChain(one))).toEqual(one);
      }),
    );
  });

  test("decodeNftRule() gives what encodeNftRule() was given", () => {
    fc.assert(
      fc.property(rule, (one) => {
        expect(decodeNftRule(encodeNftRule(one))).toEqual(one);
      }),
    );
  });

  test("encodeNftExpressions() writes equal bytes only for equal expressions", () => {
    const list = fc.array(expression, { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(list, list, (left, right) => {
        expect(decodeNftExpressions(encodeNftExpressions(left))).toEqual(left);
        const same = Buffer.compare(encodeNftExpressions(left), encodeNftExpressions(right)) === 0;
        if (same) expect(left).toEqual(right);
      }),
    );
  });

  test("decodeNftComment() gives what encodeNftComment() was given", () => {
    const comment = fc.stringMatching(/^[^\0]{0,60}$/u);
    fc.assert(
      fc.property(comment, (one) => {
        expect(decodeNftComment(encodeNftComment(one))).toBe(one.toWellFormed());
      }),
    );
  });
});

describe("what is not as it should be", () => {
  test.each([
    ["meta with a source register", "meta", [1, 2, 3]],
    ["payload that writes", "payload", [1, 2, 3, 5]],
    ["masquerade with a range of ports", "masq", [1, 2, 3]],
    ["comparison without data", "cmp", [1, 2]],
  ])("decodeNftExpressions() keeps a %s verbatim", (_title, name, types) => {
    const data = encodeAttributes(types.map((type) => ({ type, flags: 0, value: new Uint8Array(4) })));
    const kept: NftExpression[] = [{ kind: "other", name, data }];
    expect(decodeNftExpressions(encodeNftExpressions(kept))).toEqual(kept);
  });

  test("decodeNftExpressions() keeps a shift, which is a bitwise expression too", () => {
    const number = (type: number, n: number): { type: number; flags: number; value: Uint8Array } => ({
      type,
      flags: 0,
      value: Uint8Array.of(0, 0, 0, n),
    });
    const data = encodeAttributes([number(1, 1), number(2, 1), number(3, 4), number(6, 1), number(7, 0)]);
    const kept: NftExpression[] = [{ kind: "other", name: "bitwise", data }];
    expect(decodeNftExpressions(encodeNftExpressions(kept))).toEqual(kept);
  });

  test("decoders throw nothing but RangeError when the bytes are anything", () => {
    const any = fc.uint8Array({ maxLength: 120 });
    const damaged = fc.tuple(rule, fc.nat(), u8).map(([one, position, byte]) => {
      const bytes = encodeNftRule(one);
      bytes[position % bytes.length] = byte;
      return bytes;
    });
    fc.assert(
      fc.property(fc.oneof(any, damaged), (bytes) => {
        for (const decode of [decodeNftTable, decodeNftChain, decodeNftRule, decodeNftExpressions])
          try {
            decode(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(RangeError);
          }
      }),
      { numRuns: 1000 },
    );
  });
});
