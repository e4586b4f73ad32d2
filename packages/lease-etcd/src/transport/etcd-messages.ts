import type {
  Compare,
  EtcdEntry,
  Operation,
  RangeAnswer,
  RangeRequest,
  TxnAnswer,
  TxnRequest,
  WatchAnswer,
  WatchRequest,
} from "./etcd-transport.ts";
import { ProtoReader } from "../protobuf/proto-reader.ts";
import { ProtoWriter } from "../protobuf/proto-writer.ts";

// The numbers of the members are those of etcd's definitions, and a test compares them.
// https://github.com/etcd-io/etcd/blob/release-3.4/etcdserver/etcdserverpb/rpc.proto

/**
 * @param request - what to read
 * @returns etcd's RangeRequest
 */
export function encodeRange(request: RangeRequest): Uint8Array {
  return new ProtoWriter()
    .bytes(1, request.key)
    .bytes(2, request.rangeEnd)
    .int64(3, request.limit)
    .int64(4, request.revision)
    .int64(12, request.minCreateRevision)
    .finish();
}

/**
 * @param message - etcd's RangeResponse
 * @returns what was read; keys and values are views of the message
 */
export function decodeRange(message: Uint8Array): RangeAnswer {
  const reader = new ProtoReader(message);
  const entries: EtcdEntry[] = [];
  let [revision, more] = ["0", false];
  while (reader.next()) {
    if (reader.field === 1) revision = readHeader(reader.bytes()).revision;
    else if (reader.field === 2) entries.push(readEntry(reader.bytes()));
    else if (reader.field === 3) more = reader.bool();
    else reader.skip();
  }
  return { revision, entries, more };
}

/**
 * @param request - conditions and steps
 * @returns etcd's TxnRequest
 */
export function encodeTxn({ compare, success, failure }: TxnRequest): Uint8Array {
  return new ProtoWriter()
    .repeated(1, compare, encodeCompare)
    .repeated(2, success, encodeOperation)
    .repeated(3, failure, encodeOperation)
    .finish();
}

/**
 * @param message - etcd's TxnResponse
 * @returns what the transaction did; keys and values are views of the message
 */
export function decodeTxn(message: Uint8Array): TxnAnswer {
  const reader = new ProtoReader(message);
  const entries: EtcdEntry[] = [];
  const previous: EtcdEntry[] = [];
  let [revision, succeeded] = ["0", false];
  while (reader.next()) {
    if (reader.field === 1) revision = readHeader(reader.bytes()).revision;
    else if (reader.field === 2) succeeded = reader.bool();
    else if (reader.field === 3) readResponse(reader.bytes(), entries, previous);
    else reader.skip();
  }
  return { succeeded, revision, entries, previous };
}

/**
 * @param request - the id that the caller chose, and how long it lasts
 * @returns etcd's LeaseGrantRequest
 */
export function encodeLeaseGrant({ id, ttlSeconds }: { id: string; ttlSeconds: number }): Uint8Array {
  return new ProtoWriter().int64(1, ttlSeconds).int64(2, id).finish();
}

/**
 * @param id - of an etcd lease
 * @returns etcd's LeaseRevokeRequest or LeaseTimeToLiveRequest
 */
export function encodeLeaseId(id: string): Uint8Array {
  return new ProtoWriter().int64(1, id).finish();
}

/**
 * @param message - etcd's LeaseTimeToLiveResponse
 * @returns seconds that are left; -1 when it is gone
 */
export function decodeTimeToLive(message: Uint8Array): number {
  const reader = new ProtoReader(message);
  let seconds = 0;
  while (reader.next()) {
    if (reader.field === 3) seconds = Number(reader.int64());
    else reader.skip();
  }
  return seconds;
}

/**
 * @param user - who we are
 * @returns etcd's AuthenticateRequest
 */
export function encodeAuthenticate(user: { username: string; password: string }): Uint8Array {
  return new ProtoWriter().bytes(1, user.username).bytes(2, user.password).finish();
}

/**
 * @param message - etcd's AuthenticateResponse
 * @returns the token
 */
export function decodeToken(message: Uint8Array): string {
  const reader = new ProtoReader(message);
  let token = "";
  while (reader.next()) {
    if (reader.field === 2) token = reader.text();
    else reader.skip();
  }
  return token;
}

/**
 * @param request - what to watch
 * @returns etcd's WatchRequest. Without `fragment`: resuming inside a revision would lose the rest of it
 */
export function encodeWatch({ key, rangeEnd, startRevision }: WatchRequest): Uint8Array {
  const create = new ProtoWriter().bytes(1, key).bytes(2, rangeEnd).int64(3, startRevision).enum(4, true);
  return new ProtoWriter().message(1, create.finish()).finish();
}

/** @returns etcd's WatchRequest that asks for a message without events */
export function encodeProgressRequest(): Uint8Array {
  return new ProtoWriter().message(3, "").finish();
}

/**
 * @param message - etcd's WatchResponse
 * @returns one message of a watch; keys and values are views of the message
 */
export function decodeWatch(message: Uint8Array): WatchAnswer {
  const reader = new ProtoReader(message);
  let header = { revision: "0", clusterId: "0" };
  let [created, canceled] = [false, false];
  let [compactRevision, cancelReason] = ["0", ""];
  const events: WatchAnswer["events"][number][] = [];
  while (reader.next()) {
    if (reader.field === 1) header = readHeader(reader.bytes());
    else if (reader.field === 3) created = reader.bool();
    else if (reader.field === 4) canceled = reader.bool();
    else if (reader.field === 5) compactRevision = reader.int64();
    else if (reader.field === 6) cancelReason = reader.text();
    else if (reader.field === 11) events.push(readEvent(reader.bytes()));
    else reader.skip();
  }
  return { ...header, created, canceled, compactRevision, cancelReason, events };
}

function encodeCompare({ target, key, rangeEnd, revision }: Compare): Uint8Array {
  // EQUAL is 0; CREATE is 1 and MOD 2.
  const writer = new ProtoWriter().enum(2, target === "create" ? 1 : 2).bytes(3, key);
  return writer
    .oneofInt64(target === "create" ? 5 : 6, revision)
    .bytes(64, rangeEnd)
    .finish();
}

function encodeOperation(operation: Operation): Uint8Array {
  const writer = new ProtoWriter();
  switch (operation.type) {
    case "range":
      return writer.message(1, encodeRange(operation)).finish();
    case "put": {
      const { key, value, lease } = operation;
      const put = new ProtoWriter().bytes(1, key).bytes(2, value).int64(3, lease).enum(4, true);
      return writer.message(2, put.finish()).finish();
    }
    case "delete":
      return writer.message(3, new ProtoWriter().bytes(1, operation.key).enum(3, true).finish()).finish();
  }
}

/** ResponseOp: what a range read, and what a put or delete replaced. */
function readResponse(message: Uint8Array, entries: EtcdEntry[], previous: EtcdEntry[]): void {
  const reader = new ProtoReader(message);
  while (reader.next()) {
    if (reader.field === 1) entries.push(...decodeRange(reader.bytes()).entries);
    else if (reader.field === 2) readEntries(reader.bytes(), 2, previous);
    else if (reader.field === 3) readEntries(reader.bytes(), 3, previous);
    else reader.skip();
  }
}

function readEntries(message: Uint8Array, field: number, into: EtcdEntry[]): void {
  const reader = new ProtoReader(message);
  while (reader.next()) {
    if (reader.field === field) into.push(readEntry(reader.bytes()));
    else reader.skip();
  }
}

function readEvent(message: Uint8Array): WatchAnswer["events"][number] {
  const reader = new ProtoReader(message);
  let type: "put" | "delete" = "put";
  let entry: EtcdEntry | undefined;
  while (reader.next()) {
    if (reader.field === 1) type = reader.bool() ? "delete" : "put";
    else if (reader.field === 2) entry = readEntry(reader.bytes());
    else reader.skip();
  }
  return { type, entry: entry ?? readEntry(nothing) };
}

function readHeader(message: Uint8Array): { clusterId: string; revision: string } {
  const reader = new ProtoReader(message);
  let [clusterId, revision] = ["0", "0"];
  while (reader.next()) {
    if (reader.field === 1) clusterId = reader.uint64();
    else if (reader.field === 3) revision = reader.int64();
    else reader.skip();
  }
  return { clusterId, revision };
}

function readEntry(message: Uint8Array): EtcdEntry {
  const reader = new ProtoReader(message);
  let [key, value] = [nothing, nothing];
  let [createRevision, modRevision, version, lease] = ["0", "0", "0", "0"];
  while (reader.next()) {
    if (reader.field === 1) key = reader.bytes();
    else if (reader.field === 2) createRevision = reader.int64();
    else if (reader.field === 3) modRevision = reader.int64();
    else if (reader.field === 4) version = reader.int64();
    else if (reader.field === 5) value = reader.bytes();
    else if (reader.field === 6) lease = reader.int64();
    else reader.skip();
  }
  return { key, value, createRevision, modRevision, version, lease };
}

const nothing: Uint8Array = new Uint8Array();
