import type { LeaseEvent, LeaseStore, WatchOptions } from "../lease-store.ts";

/** What is about to happen, or has happened: a call, or an event that a watch delivers. */
export type StoreOperation = "getNetwork" | "list" | "claim" | "renew" | "release" | "watch" | "event";

/** What to do around the operations of a store. What it throws, the caller of the store gets. */
export interface StoreInterceptor {
  /** Runs before an operation: throwing keeps it from happening. */
  readonly before?: (operation: StoreOperation) => Promise<void> | void;
  /** Runs after an operation that succeeded: throwing hides the outcome, as a cut connection does. */
  readonly after?: (operation: StoreOperation) => Promise<void> | void;
}

/**
 * Wraps a store so that a test can delay, fail or observe what happens to it. Closing closes the wrapped store.
 *
 * @param store - The store that does the work.
 * @param interceptor - What to do around each operation. For `watch` it runs when the watch starts, for `event` around
 *   the delivery of each event.
 * @returns The wrapped store.
 */
export function interceptStore(store: LeaseStore, interceptor: StoreInterceptor): LeaseStore {
  const around = async <Result>(operation: StoreOperation, call: () => Promise<Result>): Promise<Result> => {
    await interceptor.before?.(operation);
    const result = await call();
    await interceptor.after?.(operation);
    return result;
  };
  const close = (): Promise<void> => store.close();
  return {
    supports: store.supports,
    getNetwork: (options) => around("getNetwork", () => store.getNetwork(options)),
    list: (options) => around("list", () => store.list(options)),
    claim: (subnet, attributes, options) => around("claim", () => store.claim(subnet, attributes, options)),
    renew: (lease, options) => around("renew", () => store.renew(lease, options)),
    release: (lease, options) => around("release", () => store.release(lease, options)),
    watch: (options) => watchIntercepted(store, options, interceptor),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function* watchIntercepted(
  store: LeaseStore,
  options: WatchOptions | undefined,
  interceptor: StoreInterceptor,
): AsyncGenerator<LeaseEvent, void, undefined> {
  await interceptor.before?.("watch");
  for await (const event of store.watch(options)) {
    await interceptor.before?.("event");
    yield event;
    await interceptor.after?.("event");
  }
}
