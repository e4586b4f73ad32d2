import { setTimeout as sleep } from "node:timers/promises";
import type { ServiceManager } from "./notify.ts";

/**
 * Tells the service manager at its interval that the event loop turns; a daemon that hangs falls silent, and is started again.
 *
 * @param manager the service manager.
 * @param signal ends it.
 */
export async function beatWatchdog(manager: ServiceManager, signal: AbortSignal): Promise<void> {
  const { watchdogMs } = manager;
  if (watchdogMs === undefined) return;
  for (;;) {
    manager.notify("WATCHDOG=1");
    await sleep(watchdogMs, undefined, { signal });
  }
}
