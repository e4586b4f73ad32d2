import { setTimeout as sleep } from "node:timers/promises";
import type { LeaseStore } from "@loden/lease";
import type { NetworkConfig } from "@loden/subnet";

/** How often the store is asked. */
const RETRY_MS = 1_000;

/**
 * Waits until the store has a network configuration: for ever while it is merely missing, as flannel does; for a limited time while the store cannot
 * be reached. Each kind of waiting is said once.
 *
 * @param store where it is.
 * @param options `unreachableMs`: how long to wait for a store that does not answer; `waitsForConfig`: false makes a missing configuration an error too;
 * `onWaiting`: told why it waits.
 * @returns the configuration.
 * @throws {ConfigError | SyntaxError} at once, for a configuration that is wrong; what the store throws, for a store that refuses or stays away.
 */
export async function waitForNetwork(
  store: LeaseStore,
  options: {
    readonly unreachableMs: number;
    readonly waitsForConfig?: boolean;
    readonly signal: AbortSignal;
    onWaiting?(reason: Error): void;
  },
): Promise<NetworkConfig> {
  const { unreachableMs, waitsForConfig = true, signal } = options;
  const start = performance.now();
  let said: string | undefined;
  for (;;) {
    try {
      return await store.getNetwork({ signal });
    } catch (error) {
      signal.throwIfAborted();
      const { code } = error as { readonly code?: string };
      const isMissing = waitsForConfig && code === "ERR_NETWORK_CONFIG_MISSING";
      const isAway = code === "ERR_STORE_UNAVAILABLE" && performance.now() - start < unreachableMs;
      if (!isMissing && !isAway) throw error;
      if (said !== code) options.onWaiting?.(error as Error);
      said = code;
    }
    await sleep(RETRY_MS, undefined, { signal });
  }
}
