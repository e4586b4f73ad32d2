import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { NodeHealth } from "./node-health.ts";

/**
 * Waits until something about a daemon changes. Changes between two waits are not kept: look first, then wait, in one synchronous stretch.
 *
 * @param health what is known of the daemon.
 * @param options `timeoutMs`: wait no longer, by default for ever; `signal`: ends the wait, which then rejects.
 */
export async function nextChange(
  health: NodeHealth,
  options: { readonly timeoutMs?: number; readonly signal: AbortSignal },
): Promise<void> {
  const { timeoutMs = Infinity, signal } = options;
  const ended = new AbortController();
  const stop = (): void => ended.abort(signal.reason);
  // Not AbortSignal.any(), which leaves something behind on the long-lived signal at every wait.
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  const waits: Promise<unknown>[] = [once(health, "change", { signal: ended.signal })];
  if (timeoutMs < Infinity) waits.push(sleep(timeoutMs, undefined, { signal: ended.signal }));
  try {
    await Promise.race(waits);
  } finally {
    signal.removeEventListener("abort", stop);
    ended.abort();
    for (const wait of waits) wait.catch(() => undefined);
  }
}
