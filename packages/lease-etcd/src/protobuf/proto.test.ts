import * as fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, test } from "vitest";
import { ProtoReader } from "./proto-reader.ts";
import { ProtoWriter } from "./proto-writer.ts";

// Another implementation, and a message with a member of every kind.
const model = protobuf
  .parse(`
  syntax = "proto3";
  message Model {
    int64 integer = 1; uint64 natural = 2; bool flag = 3; bytes bytes = 4; string text = 5;
    oneof choice { int64 chosen = 6; }
    repeated Model children = 15; fixed32 four = 100; fixed64 eight = 2000;
  }
`)
  .root.lookupType("Model");

interface Values {
  integer: string;
  natural: string;
  flag: boolean;
  bytes: Uint8Array;
  text: string;
  chosen: string;
  children: Values[];
}

const int64 = fc.oneof(
  fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
  fc.bigInt(-300n, 300n),
  fc.bigInt(2n ** 48n, 2n ** 54n),
);
const uint64 = fc.oneof(fc.bigInt(0n, 2n ** 64n - 1n), fc.bigInt(0n, 300n));
const leaf: fc.Arbitrary<Values> = fc.record({
  integer: int64.map(String),
  natural: uint64.map(String),
  flag: fc.boolean(),
  bytes: fc.uint8Array({ maxLength: 300 }),
  text: fc.string({ unit: "grapheme" }),
  chosen: int64.map(String),
  children: fc.constant([]),
});
const values = fc.tuple(leaf, fc.array(leaf)).map(([value, children]): Values => ({ ...value, children }));

function write(value: Values): Uint8Array {
  return new ProtoWriter()
    .int64(1, value.integer)
    .int64(2, value.natural)
    .enum(3, value.flag)
    .bytes(4, value.bytes)
    .bytes(5, value.text)
    .oneofInt64(6, value.chosen)
    .repeated(15, value.children, write)
    .finish();
}

function read(message: Uint8Array): Values {
  const reader = new ProtoReader(message);
  const value: Values = {
    integer: "0",
    natural: "0",
    flag: false,
    bytes: new Uint8Array(),
    text: "",
    chosen: "0",
    children: [],
  };
  while (reader.next()) {
    if (reader.field === 1) value.integer = reader.int64();
    else if (reader.field === 2) value.natural = reader.uint64();
    else if (reader.field === 3) value.flag = reader.bool();
    else if (reader.field === 4) value.bytes = new Uint8Array(reader.bytes());
    else if (reader.field === 5) value.text = reader.text();
    else if (reader.field === 6) value.chosen = reader.int64();
    else if (reader.field === 15) value.children.push(read(reader.bytes()));
    else reader.skip();
  }
  return value;
}

describe("ProtoWriter", () => {
  test("writes what protobufjs reads", () => {
    fc.assert(
      fc.property(values, (value) => {
        const options = { longs: String, bytes: String, arrays: true, defaults: true };
        expect(model.toObject(model.decode(write(value)), options)).toEqual(wanted(value));
      }),
    );
  });

  test("leaves out members that have the default value, but not those of a oneof", () => {
    const writer = new ProtoWriter().int64(1, "0").int64(2, undefined).enum(3, false).bytes(4, "");
    expect(writer.bytes(5, undefined).finish()).toHaveLength(0);
    expect([...new ProtoWriter().oneofInt64(6, "0").finish()]).toEqual([6 * 8, 0]);
    expect([...new ProtoWriter().message(15, "").finish()]).toEqual([15 * 8 + 2, 0]);
  });
});

describe("ProtoReader", () => {
  test("reads what protobufjs writes, past members that it does not know", () => {
    fc.assert(
      fc.property(values, (value) => {
        const extra = { four: 7, eight: 8 };
        const message = model.encode(model.fromObject({ ...value, ...extra })).finish();
        expect(read(message)).toEqual(value);
      }),
    );
  });

  test("throws RangeError or reads something, and always ends, when the bytes are arbitrary", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          read(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("throws RangeError when the message ends inside a member, wherever it is cut", () => {
    const message = new ProtoWriter().bytes(4, "abc").int64(1, "300").finish();
    const whole = new Set([0, 5, message.length]);
    for (let end = 0; end <= message.length; end += 1) {
      const readCut = (): Values => read(message.subarray(0, end));
      if (whole.has(end)) expect(readCut).not.toThrow();
      else expect(readCut).toThrow(RangeError);
    }
  });
});

/** As protobufjs gives it: bytes as base64, and what is not there with its default value. */
function wanted(value: Values): unknown {
  const bytes = Buffer.from(value.bytes).toString("base64");
  return { ...value, bytes, children: value.children.map(wanted), four: 0, eight: "0" };
}
