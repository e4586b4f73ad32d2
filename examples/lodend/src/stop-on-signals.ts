import type { NodeHealth } from "./health/node-health.ts";
import type { Logger } from "./log/logger.ts";

/**
 * Stops the daemon at the first SIGINT or SIGTERM; a second one ends it at once.
 *
 * @param stopping is aborted then.
 * @param logger told of the signal. @param health says from then on that the daemon stops.
 * @returns the signal of `stopping`.
 */
export function stopOnSignals(stopping: AbortController, logger: Logger, health: NodeHealth): AbortSignal {
  const onSignal = (signal: NodeJS.Signals): void => {
    for (const other of ["SIGINT", "SIGTERM"] as const) process.off(other, onSignal);
    health.set({ isStopping: true });
    logger.log("info", "stopping", { signal });
    stopping.abort();
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, onSignal);
  return stopping.signal;
}
