import * as fc from "fast-check";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import protobuf from "protobufjs";
import { describe, expect, test } from "vitest";
import * as messages from "./etcd-messages.ts";
import type { EtcdEntry, Operation, RangeRequest } from "./etcd-transport.ts";

// etcd's own definitions, which come with etcd3, read by another implementation of protobuf.
const require = createRequire(import.meta.url);
const folder = join(dirname(require.resolve("etcd3/package.json")), "proto");
const definitions = protobuf.loadSync(join(folder, "rpc.proto"));
const lookup = (name: string): protobuf.Type => definitions.lookupType(`etcdserverpb.${name}`);

const bytes = fc.uint8Array({ minLength: 1, maxLength: 30 }).map((array) => Buffer.from(array));
const int64 = fc.oneof(fc.bigInt(0n, 2n ** 63n - 1n), fc.bigInt(0n, 1_000n)).map(String);
const uint64 = fc.bigInt(0n, 2n ** 64n - 1n).map(String);
const range = fc.record({
  key: bytes,
  rangeEnd: bytes,
  limit: fc.nat(),
  revision: int64,
  minCreateRevision: int64,
});
const entry: fc.Arbitrary<EtcdEntry> = fc.record({
  key: bytes,
  value: bytes,
  createRevision: int64,
  modRevision: int64,
  version: int64,
  lease: int64,
});

/** Decodes with every member present, int64 as text and enums by name, as the expectations below have them. */
function decode(type: string, message: Uint8Array): unknown {
  const options = { longs: String, enums: String, bytes: Buffer, defaults: true, arrays: true };
  return lookup(type).toObject(lookup(type).decode(message), options);
}

function encode(type: string, object: Record<string, unknown>): Uint8Array {
  return lookup(type).encode(lookup(type).fromObject(object)).finish();
}

const wireRange = (request: RangeRequest): Record<string, unknown> => ({
  key: request.key,
  rangeEnd: request.rangeEnd,
  limit: `${request.limit}`,
  revision: request.revision,
  minCreateRevision: request.minCreateRevision,
});

describe("requests", () => {
  test("encodeRange() makes a RangeRequest", () => {
    fc.assert(
      fc.property(range, (request) => {
        expect(decode("RangeRequest", messages.encodeRange(request))).toMatchObject(wireRange(request));
      }),
    );
  });

  test("encodeTxn() makes a TxnRequest of comparisons and steps", () => {
    const compare = fc.record({
      target: fc.constantFrom("create" as const, "mod" as const),
      key: bytes,
      rangeEnd: bytes,
      revision: int64,
    });
    const operation: fc.Arbitrary<Operation> = fc.oneof(
      fc.record({ type: fc.constant("put" as const), key: bytes, value: bytes, lease: int64 }),
      fc.record({ type: fc.constant("delete" as const), key: bytes }),
      range.map((request) => ({ type: "range" as const, ...request })),
    );
    const operations = fc.array(operation, { maxLength: 4 });
    const txn = fc.record({
      compare: fc.array(compare, { maxLength: 4 }),
      success: operations,
      failure: operations,
    });
    fc.assert(
      fc.property(txn, (request) => {
        expect(decode("TxnRequest", messages.encodeTxn(request))).toMatchObject({
          compare: request.compare.map(({ target, key, rangeEnd, revision }) => ({
            result: "Equal",
            target: target === "create" ? "Create" : "Mod",
            key,
            rangeEnd,
            [target === "create" ? "createRevision" : "modRevision"]: revision,
          })),
          success: request.success.map(wireOperation),
          failure: request.failure.map(wireOperation),
        });
      }),
    );
  });

  test("encodeWatch() asks for progress and no fragments, and encodeProgressRequest() for an answer", () => {
    const key = Buffer.from("a");
    const request = messages.encodeWatch({ key, rangeEnd: Buffer.from("b"), startRevision: "7" });
    expect(decode("WatchRequest", request)).toMatchObject({
      createRequest: {
        key,
        rangeEnd: Buffer.from("b"),
        startRevision: "7",
        progressNotify: true,
        fragment: false,
      },
    });
    expect(decode("WatchRequest", messages.encodeProgressRequest())).toEqual({
      progressRequest: {},
      requestUnion: undefined,
    });
  });

  test("encodeLeaseGrant(), encodeLeaseId() and encodeAuthenticate() make the requests of their names", () => {
    const grant = messages.encodeLeaseGrant({ id: "9223372036854775807", ttlSeconds: 86_400 });
    expect(decode("LeaseGrantRequest", grant)).toEqual({ ID: "9223372036854775807", TTL: "86400" });
    expect(decode("LeaseRevokeRequest", messages.encodeLeaseId("12"))).toEqual({ ID: "12" });
    expect(decode("LeaseTimeToLiveRequest", messages.encodeLeaseId("12"))).toEqual({ ID: "12", keys: false });
    const user = messages.encodeAuthenticate({ username: "löden", password: "secret" });
    expect(decode("AuthenticateRequest", user)).toMatchObject({ name: "löden", password: "secret" });
  });
});

describe("answers", () => {
  const header = fc.record({ clusterId: uint64, memberId: uint64, revision: int64, raftTerm: uint64 });

  test("decodeRange() reads a RangeResponse", () => {
    const answers = fc.record({ header, kvs: fc.array(entry), more: fc.boolean(), count: int64 });
    fc.assert(
      fc.property(answers, (answer) => {
        expect(plain(messages.decodeRange(encode("RangeResponse", answer)))).toEqual({
          revision: answer.header.revision,
          entries: answer.kvs,
          more: answer.more,
        });
      }),
    );
  });

  test("decodeTxn() reads what the ranges of a TxnResponse read, and what puts and deletes replaced", () => {
    const response = fc.oneof(
      fc.record({ responseRange: fc.record({ header, kvs: fc.array(entry) }) }),
      fc.record({ responsePut: fc.record({ header, prevKv: fc.option(entry, { nil: undefined }) }) }),
      fc.record({ responseDeleteRange: fc.record({ header, deleted: int64, prevKvs: fc.array(entry) }) }),
    );
    const answers = fc.record({ header, succeeded: fc.boolean(), responses: fc.array(response) });
    fc.assert(
      fc.property(answers, (answer) => {
        expect(plain(messages.decodeTxn(encode("TxnResponse", answer)))).toEqual({
          succeeded: answer.succeeded,
          revision: answer.header.revision,
          entries: answer.responses.flatMap((one) => ("responseRange" in one ? one.responseRange.kvs : [])),
          previous: answer.responses.flatMap((one) => {
            if ("responsePut" in one) return one.responsePut.prevKv ?? [];
            return "responseDeleteRange" in one ? one.responseDeleteRange.prevKvs : [];
          }),
        });
      }),
    );
  });

  test("decodeWatch() reads a WatchResponse", () => {
    const event = fc.record({ type: fc.constantFrom("Put", "Delete"), kv: entry, prevKv: entry });
    const answers = fc.record({
      header,
      watchId: int64,
      created: fc.boolean(),
      canceled: fc.boolean(),
      compactRevision: int64,
      cancelReason: fc.string({ unit: "grapheme" }),
      events: fc.array(event),
    });
    fc.assert(
      fc.property(answers, (answer) => {
        const { created, canceled, compactRevision, cancelReason } = answer;
        expect(plain(messages.decodeWatch(encode("WatchResponse", answer)))).toEqual({
          revision: answer.header.revision,
          clusterId: answer.header.clusterId,
          created,
          canceled,
          compactRevision,
          cancelReason,
          events: answer.events.map(({ type, kv }) => ({ type: type.toLowerCase(), entry: kv })),
        });
      }),
    );
  });

  test("decodeTimeToLive() reads -1 of a lease that is gone, and decodeToken() the token", () => {
    expect(messages.decodeTimeToLive(encode("LeaseTimeToLiveResponse", { ID: "7", TTL: "-1" }))).toBe(-1);
    expect(
      messages.decodeTimeToLive(encode("LeaseTimeToLiveResponse", { TTL: "86400", grantedTTL: "9" })),
    ).toBe(86_400);
    expect(messages.decodeToken(encode("AuthenticateResponse", { header: {}, token: "abc.7" }))).toBe(
      "abc.7",
    );
  });
});

function wireOperation(operation: Operation): unknown {
  switch (operation.type) {
    case "put": {
      const { key, value, lease } = operation;
      return { requestPut: { key, value, lease, prevKv: true } };
    }
    case "delete":
      return { requestDeleteRange: { key: operation.key, prevKv: true } };
    case "range":
      return { requestRange: wireRange(operation) };
  }
}

/** Views of the message become buffers, which compare with those that went in. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member)]));
}
