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

// etcd's messages as the client's protobuf runtime takes and gives them: etcd's own names, int64 as decimal text, enums
// by name, every member present. https://github.com/etcd-io/etcd/blob/release-3.4/etcdserver/etcdserverpb/rpc.proto

/** A message of etcd. */
export type Message = Readonly<Record<string, unknown>>;

/**
 * @param request - what to read
 * @returns etcd's RangeRequest
 */
export function encodeRange(request: RangeRequest): Message {
  return {
    key: request.key,
    range_end: request.rangeEnd,
    limit: request.limit,
    revision: request.revision,
    min_create_revision: request.minCreateRevision,
  };
}

/**
 * @param message - etcd's RangeResponse
 * @returns what was read
 */
export function decodeRange(message: Message): RangeAnswer {
  const { header, kvs, more } = message as { header: WireHeader; kvs: WireEntry[]; more: boolean };
  return { revision: header.revision, entries: kvs.map(decodeEntry), more };
}

/**
 * @param request - conditions and steps
 * @returns etcd's TxnRequest
 */
export function encodeTxn(request: TxnRequest): Message {
  return {
    compare: request.compare.map(encodeCompare),
    success: request.success.map(encodeOperation),
    failure: request.failure.map(encodeOperation),
  };
}

/**
 * @param message - etcd's TxnResponse
 * @returns what the transaction did
 */
export function decodeTxn(message: Message): TxnAnswer {
  const { header, succeeded, responses } = message as {
    header: WireHeader;
    succeeded: boolean;
    responses: WireOperationAnswer[];
  };
  const previous = responses.flatMap(({ response_put: put, response_delete_range: deleted }) => [
    ...(put?.prev_kv ? [put.prev_kv] : []),
    ...(deleted?.prev_kvs ?? []),
  ]);
  return {
    succeeded,
    revision: header.revision,
    entries: responses.flatMap(({ response_range: range }) => range?.kvs ?? []).map(decodeEntry),
    previous: previous.map(decodeEntry),
  };
}

/**
 * @param request - what to watch
 * @returns etcd's WatchRequest. Without `fragment`: resuming inside a revision would lose the rest of it
 */
export function encodeWatch(request: WatchRequest): Message {
  const { key, rangeEnd, startRevision } = request;
  return {
    create_request: { key, range_end: rangeEnd, start_revision: startRevision, progress_notify: true },
  };
}

/**
 * @param message - etcd's WatchResponse
 * @returns one message of a watch
 */
export function decodeWatch(message: Message): WatchAnswer {
  const { header, created, canceled, compact_revision, cancel_reason, events } = message as {
    header: WireHeader;
    created: boolean;
    canceled: boolean;
    compact_revision: string;
    cancel_reason: string;
    events: { type: "Put" | "Delete"; kv: WireEntry }[];
  };
  return {
    revision: header.revision,
    clusterId: header.cluster_id,
    created,
    canceled,
    compactRevision: compact_revision,
    cancelReason: cancel_reason,
    events: events.map(({ type, kv }) => ({
      type: type === "Put" ? "put" : "delete",
      entry: decodeEntry(kv),
    })),
  };
}

interface WireHeader {
  readonly revision: string;
  readonly cluster_id: string;
}

interface WireEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly create_revision: string;
  readonly mod_revision: string;
  readonly version: string;
  readonly lease: string;
}

interface WireOperationAnswer {
  readonly response_range?: { readonly kvs: WireEntry[] } | null;
  readonly response_put?: { readonly prev_kv: WireEntry | null } | null;
  readonly response_delete_range?: { readonly prev_kvs: WireEntry[] } | null;
}

function encodeCompare({ target, key, rangeEnd, revision }: Compare): Message {
  return target === "create"
    ? { result: "Equal", target: "Create", key, range_end: rangeEnd, create_revision: revision }
    : { result: "Equal", target: "Mod", key, range_end: rangeEnd, mod_revision: revision };
}

function encodeOperation(operation: Operation): Message {
  switch (operation.type) {
    case "put": {
      const { key, value, lease } = operation;
      return { request_put: { key, value, lease, prev_kv: true } };
    }
    case "delete":
      return { request_delete_range: { key: operation.key, prev_kv: true } };
    case "range":
      return { request_range: encodeRange(operation) };
  }
}

function decodeEntry(entry: WireEntry): EtcdEntry {
  return {
    key: entry.key,
    value: entry.value,
    createRevision: entry.create_revision,
    modRevision: entry.mod_revision,
    version: entry.version,
    lease: entry.lease,
  };
}
