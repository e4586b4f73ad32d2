import { setTimeout as sleep } from "node:timers/promises";
import type { Backend, Underlay } from "@loden/backend";
import type { NodeOptions } from "./run-node.ts";

/** The pause between attempts to move a backend. */
const RETRY_MS = 1_000;

/**
 * Hands each change of the interface between hosts to the backend, until the signal. What the backend does not take is tried again, until the next
 * change is there.
 *
 * @param options the node's.
 * @param backend has joined.
 * @param signal ends it; it then resolves or rejects.
 */
export async function followUnderlay(
  { underlayChanges, greetPeers, onEvent }: Pick<NodeOptions, "underlayChanges" | "greetPeers" | "onEvent">,
  backend: Backend,
  signal: AbortSignal,
): Promise<void> {
  if (underlayChanges === undefined) return;
  let superseded = new AbortController();
  let moving = Promise.resolve();
  try {
    for await (const change of underlayChanges(signal)) {
      superseded.abort();
      await moving;
      superseded = new AbortController();
      if (change.type === "lost") onEvent?.({ type: "underlayLost", reason: change.reason });
      else moving = move(change.underlay, superseded.signal);
    }
  } finally {
    superseded.abort();
    await moving;
  }

  async function move(underlay: Underlay, wait: AbortSignal): Promise<void> {
    for (;;) {
      try {
        await backend.setUnderlay(underlay, { signal: wait });
        onEvent?.({ type: "underlayChanged", underlay });
        await greetPeers?.(underlay);
        return;
      } catch (error) {
        if (wait.aborted) return;
        onEvent?.({ type: "retrying", doing: "moving", error });
      }
      await sleep(RETRY_MS, undefined, { signal: wait }).catch(() => undefined);
      if (wait.aborted) return;
    }
  }
}
