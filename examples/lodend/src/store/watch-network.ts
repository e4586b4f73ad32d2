import { setTimeout as sleep } from "node:timers/promises";
import type { LeaseStore } from "@loden/lease";
import type { NodeHealth } from "../health/node-health.ts";
import type { Logger } from "../log/logger.ts";
import { explainNetworkChange } from "./explain-network-change.ts";

/** What {@link watchNetwork} watches, and whom it tells. */
export interface WatchNetworkOptions {
  readonly store: LeaseStore;
  /** How often to look, in milliseconds; 0: never. */
  readonly intervalMs: number;
  /** Knows by which configuration the host runs, and is told how the store's differs. */
  readonly health: NodeHealth;
  /** Told of every change once, also of a return to the old configuration. */
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * Looks for changes of the network's configuration, which hosts read only at their start, and explains them.
 *
 * @param options what to watch.
 */
export async function watchNetwork(options: WatchNetworkOptions): Promise<void> {
  const { store, intervalMs, health, logger, signal } = options;
  let told = "[]";
  if (intervalMs === 0) return;
  for (;;) {
    await sleep(intervalMs, undefined, { signal });
    const { node } = health;
    if (node === undefined) continue;
    try {
      const latest = await store.getNetwork({ signal });
      const changes = explainNetworkChange(node.network, latest, node.lease.subnet);
      health.networkError = undefined;
      health.networkChanges = changes;
      if (JSON.stringify(changes) === told) continue;
      told = JSON.stringify(changes);
      for (const change of changes) logger.log("warn", "the network's configuration changed", { ...change });
      if (changes.length === 0)
        logger.log("info", "the network's configuration is as it was at the start again");
    } catch (error) {
      signal.throwIfAborted();
      // An outage of the store is noticed elsewhere.
      if (!isWrong(error as Error)) continue;
      health.networkError = error as Error;
      if (told === (error as Error).message) continue;
      told = (error as Error).message;
      logger.log(
        "error",
        "the network's configuration in the store is wrong; this host goes on by the old one",
        {
          error,
        },
      );
    }
  }
}

function isWrong(error: Error & { readonly code?: string }): boolean {
  return (
    error.name === "SyntaxError" ||
    error.code === "ERR_NETWORK_CONFIG" ||
    error.code === "ERR_NETWORK_CONFIG_MISSING"
  );
}
