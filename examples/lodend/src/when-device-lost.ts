import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { BackendEvent } from "@loden/backend";

/**
 * Waits until a backend of this process reports that somebody deleted its device. For processes with one backend: the report does not say whose it is.
 *
 * @param signal ends the wait, which then resolves too.
 */
export async function whenDeviceLost(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const listen = (message: unknown): void => {
      if ((message as BackendEvent).type === "deviceLost") end();
    };
    const end = (): void => {
      unsubscribe("loden:backend", listen);
      signal.removeEventListener("abort", end);
      resolve();
    };
    subscribe("loden:backend", listen);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}
