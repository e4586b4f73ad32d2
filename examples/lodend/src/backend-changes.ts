import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { BackendEvent } from "@loden/backend";

/**
 * Tells when a backend of this process may have another MTU or other attributes than before: at once, and then at each report of such a change. Which
 * backend it was, the reports don't say: look at your own.
 *
 * @param signal ends it.
 */
export async function* backendChanges(signal: AbortSignal): AsyncGenerator<void, void, undefined> {
  let wake = Promise.withResolvers<void>();
  const listen = (message: unknown): void => {
    const { type } = message as BackendEvent;
    if (type === "mtuChanged" || type === "attributesChanged") wake.resolve();
  };
  const end = (): void => wake.resolve();
  subscribe("loden:backend", listen);
  signal.addEventListener("abort", end);
  try {
    while (!signal.aborted) {
      yield;
      await wake.promise;
      wake = Promise.withResolvers();
    }
  } finally {
    unsubscribe("loden:backend", listen);
    signal.removeEventListener("abort", end);
  }
}
