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
  const done = new AbortController();
  const ended = AbortSignal.any([signal, done.signal]);
  const waits: Promise<unknown>[] = [once(health, "change", { signal: ended })];
  if (timeoutMs < Infinity) waits.push(sleep(timeoutMs, undefined, { signal: ended }));
  try {
    await Promise.race(waits);
  } finally {
    done.abort();
    for (const wait of waits) wait.catch(() => undefined);
  }
}
