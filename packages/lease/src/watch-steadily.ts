import { createBackoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import { publishDiagnostic } from "./diagnostics.ts";
import { StoreClosedError } from "./lease-errors.ts";
import type { LeaseEvent, LeaseStore, WatchOptions } from "./lease-store.ts";

/**
 * Watches a store through its outages: after an error it waits (100 ms, doubling to 5 s, with jitter) and watches again
 * from the revision of the last event. Nothing is told meanwhile, so nobody withdraws a peer because of an error. This
 * holds for the first attempt too. Ends quietly when the store closes.
 *
 * @param store - What to watch.
 * @param options - Where to start, what to watch, and where time and randomness come from.
 * @returns The events, each once and in order; a `snapshot` wherever the store could not go on without one.
 */
export async function* watchSteadily(
  store: LeaseStore,
  options: WatchOptions & { readonly clock: Clock; readonly random: () => number },
): AsyncGenerator<LeaseEvent, void, undefined> {
  const { clock, random, subnet, signal } = options;
  const backoff = createBackoff({ firstMs: 100, maxMs: 5_000, random });
  let since = options.since;
  for (;;) {
    signal?.throwIfAborted();
    try {
      for await (const event of store.watch({ since, subnet, signal })) {
        since = event.revision;
        backoff.reset();
        yield event;
      }
      return;
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof StoreClosedError) return;
      const delayMs = backoff.next();
      publishDiagnostic({ type: "watch-retrying", error, attempt: backoff.attempt, delayMs });
      await clock.sleep(delayMs, { signal });
    }
  }
}
