import type { LeaseEvent, LeaseStore, WatchOptions } from "@loden/lease";

/** What was asked of a store, and how it answered. */
export interface StoreObservations {
  /** Calls by operation, failed ones included. */
  readonly calls: ReadonlyMap<string, number>;
  /** Failed calls by operation. */
  readonly errors: ReadonlyMap<string, number>;
  /** The last failure, unless the store has answered since. */
  readonly outage: Error | undefined;
  /** Since when the watch of the leases may have missed something, in milliseconds since 1970; `undefined` while it follows. */
  readonly watchBrokenSince: number | undefined;
}

/** Errors that are answers: the store works. */
const answers = new Set([
  "ERR_LEASE_EXISTS",
  "ERR_LEASE_CONFLICT",
  "ERR_LEASE_LOST",
  "ERR_NETWORK_CONFIG",
  "ERR_NETWORK_CONFIG_MISSING",
]);
/** A watch that was opened again and is silent for this long follows. */
const SETTLED_MS = 5_000;

/**
 * Wraps a store so that its calls are counted and its outages seen.
 *
 * @param store the store; it is closed with the wrapped one.
 * @param sources `onOutage`: told of the failure that an outage begins with, and of `undefined` when the store answers again; `now`: the time, in
 * milliseconds since 1970.
 * @returns the store to use instead, and what is observed.
 */
export function observeStore(
  store: LeaseStore,
  {
    now = Date.now,
    onOutage,
  }: { readonly now?: () => number; readonly onOutage?: (outage: Error | undefined) => void } = {},
): { readonly store: LeaseStore; readonly observations: StoreObservations } {
  const calls = new Map<string, number>();
  const errors = new Map<string, number>();
  let outage: Error | undefined;
  let brokenSince: number | undefined;
  let openedAt = Infinity;

  async function counted<T>(operation: string, call: () => Promise<T>): Promise<T> {
    countIn(calls, operation);
    try {
      const result = await call();
      setOutage(undefined);
      return result;
    } catch (error) {
      noteFailure(operation, error as Error & { code?: string });
      throw error;
    }
  }

  function noteFailure(operation: string, error: Error & { code?: string }): void {
    if (error.name === "AbortError" || error.name === "TimeoutError") return;
    countIn(errors, operation);
    if (!answers.has(error.code ?? "") && error.name !== "SyntaxError") setOutage(error);
  }

  function setOutage(error: Error | undefined): void {
    const isNews = (error === undefined) !== (outage === undefined);
    outage = error;
    if (isNews) onOutage?.(error);
  }

  async function* watch(options: WatchOptions = {}): AsyncGenerator<LeaseEvent, void, undefined> {
    countIn(calls, "watch");
    openedAt = now();
    try {
      for await (const event of store.watch(options)) {
        brokenSince = undefined;
        setOutage(undefined);
        yield event;
      }
    } catch (error) {
      if (options.signal?.aborted !== true) {
        noteFailure("watch", error as Error);
        brokenSince ??= now();
        openedAt = Infinity;
      }
      throw error;
    }
  }

  const observations: StoreObservations = {
    calls,
    errors,
    get outage() {
      return outage;
    },
    get watchBrokenSince() {
      if (now() - openedAt > SETTLED_MS) brokenSince = undefined;
      return brokenSince;
    },
  };
  const observed: LeaseStore = {
    supports: store.supports,
    getNetwork: (options) => counted("getNetwork", () => store.getNetwork(options)),
    list: (options) => counted("list", () => store.list(options)),
    claim: (subnet, attributes, options) => counted("claim", () => store.claim(subnet, attributes, options)),
    renew: (lease, options) => counted("renew", () => store.renew(lease, options)),
    release: (lease, options) => counted("release", () => store.release(lease, options)),
    watch,
    close: () => store.close(),
    [Symbol.asyncDispose]: () => store.close(),
  };
  return { store: observed, observations };
}

function countIn(counts: Map<string, number>, operation: string): void {
  counts.set(operation, (counts.get(operation) ?? 0) + 1);
}
