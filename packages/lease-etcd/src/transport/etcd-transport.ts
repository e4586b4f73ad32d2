/** One key as etcd holds it. Revisions and lease ids are decimal text, as they do not fit a number. */
export interface EtcdEntry {
  /** The key's bytes; others may have written text that is no UTF-8. */
  readonly key: Uint8Array;
  /** The value's bytes. Empty in a delete event. */
  readonly value: Uint8Array;
  /** Revision of the write that created the key. */
  readonly createRevision: string;
  /** Revision of the last write. */
  readonly modRevision: string;
  /** How many writes since it was created; `"1"` for a new key. */
  readonly version: string;
  /** Id of the etcd lease that it is attached to; `"0"` for none. */
  readonly lease: string;
}

/** A range of keys: from `key` up to but not `rangeEnd`; that key alone without `rangeEnd`. */
export interface KeyRange {
  readonly key: Uint8Array;
  readonly rangeEnd?: Uint8Array | undefined;
}

/** A range of more than one key. */
export interface OpenKeyRange extends KeyRange {
  readonly rangeEnd: Uint8Array;
}

/** What to read. */
export interface RangeRequest extends KeyRange {
  /** At most so many entries; all by default. */
  readonly limit?: number | undefined;
  /** As of this revision; the newest by default. */
  readonly revision?: string | undefined;
  /** Only keys that were created at this revision or later. */
  readonly minCreateRevision?: string | undefined;
}

/** What was read. */
export interface RangeAnswer {
  /** The store's revision when it was read; with `revision` in the request still the newest one. */
  readonly revision: string;
  /** In the order of the keys' bytes. */
  readonly entries: readonly EtcdEntry[];
  /** Whether `limit` left entries out. */
  readonly more: boolean;
}

/** A condition of a transaction: the keys of the range have this revision; 0 when there is no such key. */
export interface Compare extends KeyRange {
  readonly target: "create" | "mod";
  readonly revision: string;
}

/** One step of a transaction. */
export type Operation =
  | { readonly type: "put"; readonly key: Uint8Array; readonly value: Uint8Array; readonly lease: string }
  | { readonly type: "delete"; readonly key: Uint8Array }
  | ({ readonly type: "range" } & RangeRequest);

/** Runs `success` when every condition holds, else `failure`, in one step. */
export interface TxnRequest {
  readonly compare: readonly Compare[];
  readonly success: readonly Operation[];
  readonly failure: readonly Operation[];
}

/** What a transaction did. */
export interface TxnAnswer {
  /** Whether `success` ran. */
  readonly succeeded: boolean;
  /** The store's revision afterwards: that of the transaction, when it wrote. */
  readonly revision: string;
  /** What the ranges read, one after another. */
  readonly entries: readonly EtcdEntry[];
  /** What puts and deletes replaced. */
  readonly previous: readonly EtcdEntry[];
}

/** What to watch. */
export interface WatchRequest extends KeyRange {
  /** The first revision to tell of. */
  readonly startRevision: string;
}

/** One message of a watch. */
export interface WatchAnswer {
  /** Of the member's state when it was sent. It says nothing about which events were told: never resume from it. */
  readonly revision: string;
  /** Changes by one cluster carry one id. */
  readonly clusterId: string;
  /** The first message of a watch. */
  readonly created: boolean;
  /** The last message of a watch. */
  readonly canceled: boolean;
  /** The oldest revision that can be watched from, when the watch ended because it asked for an older one; else `"0"`. */
  readonly compactRevision: string;
  /** Why it ended, in the server's words. */
  readonly cancelReason: string;
  /** In order; those of one revision are never split between messages. Empty for a progress answer. */
  readonly events: readonly { readonly type: "put" | "delete"; readonly entry: EtcdEntry }[];
}

/** A running watch at one member. */
export interface EtcdWatchStream {
  /** The member. */
  readonly endpoint: string;
  /** The first message. */
  readonly created: WatchAnswer;
  /** Reads the next message; one read at a time. Rejects with EtcdStatusError when the stream ends. */
  next(): Promise<WatchAnswer>;
  /** Asks for a message without events, to see whether the member lives. */
  requestProgress(): void;
  /** Ends it; a pending read rejects. A second call changes nothing. */
  cancel(): void;
  /** Ends it and prefers another member from now on. */
  abandon(): void;
}

/** Options of every call to a transport. */
export interface TransportCallOptions {
  /** What it is for, in the words of an error message, such as "list leases". */
  readonly operation: string;
  /** Gives up; the call then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
  /** The answer may be large: each round of members may take twice as long as the one before. */
  readonly isLarge?: boolean | undefined;
}

/**
 * The part of etcd that the store needs, over whatever client. Every call tries the members in turn, each for a limited
 * time, so a transaction may run twice: its conditions have to make that harmless.
 *
 * Calls reject with StoreUnavailableError when no member answered, StoreDeniedError when etcd refuses the user, and
 * EtcdStatusError when it refuses the request.
 */
export interface EtcdTransport {
  range(request: RangeRequest, options: TransportCallOptions): Promise<RangeAnswer>;
  txn(request: TxnRequest, options: TransportCallOptions): Promise<TxnAnswer>;
  /** Makes an etcd lease of an id that the caller chose. etcd may make it last longer. Harmless to repeat. */
  leaseGrant(request: { id: string; ttlSeconds: number }, options: TransportCallOptions): Promise<void>;
  /** Ends an etcd lease, which deletes its keys. One that is gone already is no error. */
  leaseRevoke(id: string, options: TransportCallOptions): Promise<void>;
  /** Returns how many seconds an etcd lease has left; -1 when it is gone. */
  leaseTimeToLive(id: string, options: TransportCallOptions): Promise<number>;
  /** Starts a watch and waits for its first message. Only at members that have a leader. */
  watchStream(request: WatchRequest, options: TransportCallOptions): Promise<EtcdWatchStream>;
  /** Ends streams and calls, and closes connections. A second call changes nothing. */
  close(): void;
}
