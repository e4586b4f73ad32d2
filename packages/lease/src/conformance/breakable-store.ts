import type { LeaseStore } from "../lease-store.ts";

/** A store whose connection a case can cut. Closing it closes the store behind. */
export interface BreakableStore {
  /** What the engine is given. Each of its watches starts with a snapshot: the store behind has forgotten what was. */
  readonly store: LeaseStore;
  /** Every call fails, and every watch that runs, until `restore`. */
  cut(): void;
  /** Calls work again. */
  restore(): void;
  /** Waits for a call that fails because the connection is cut. */
  failure(): Promise<void>;
}

/**
 * Puts a connection that can be cut before a store.
 *
 * @param behind - The store that does the work.
 * @returns The connection, whole.
 */
export function breakable(behind: LeaseStore): BreakableStore {
  let connection = new AbortController();
  let tellFailure = (): void => {};
  const call = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (!connection.signal.aborted) return work();
    tellFailure();
    throw new Error("the connection is cut");
  };
  const close = (): Promise<void> => behind.close();
  const store: LeaseStore = {
    supports: behind.supports,
    getNetwork: (options) => call(() => behind.getNetwork(options)),
    list: (options) => call(() => behind.list(options)),
    claim: (subnet, attributes, options) => call(() => behind.claim(subnet, attributes, options)),
    renew: (lease, options) => call(() => behind.renew(lease, options)),
    release: (lease, options) => call(() => behind.release(lease, options)),
    async *watch({ signal, subnet } = {}) {
      await call(async () => {});
      const cut = connection.signal;
      yield* behind.watch({ subnet, signal: signal === undefined ? cut : AbortSignal.any([signal, cut]) });
    },
    close,
    [Symbol.asyncDispose]: close,
  };
  return {
    store,
    cut: () => connection.abort(new Error("the connection is cut")),
    restore: () => {
      connection = new AbortController();
    },
    failure: () =>
      new Promise((resolve) => {
        tellFailure = resolve;
      }),
  };
}
