import { nextChange } from "../health/next-change.ts";
import type { NodeHealth } from "../health/node-health.ts";
import type { Logger } from "../log/logger.ts";
import type { ServiceManager } from "./notify.ts";

/**
 * Tells the service manager and the log when the host becomes ready, when it is not any more, and when it is again.
 *
 * @param health what is known of the daemon.
 * @param manager the service manager.
 * @param logger takes the lines.
 * @param signal ends it.
 */
export async function announceReadiness(
  health: NodeHealth,
  manager: ServiceManager,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  let told = "";
  signal.addEventListener("abort", () => manager.notify("STOPPING=1", "STATUS=stopping"), { once: true });
  for (let wasReady = false; ; await nextChange(health, { signal })) {
    const problems = health.problems();
    const isReady = problems.length === 0;
    const status = isReady ? `ready, ${health.peers.length} peers` : `not ready: ${problems.join("; ")}`;
    if (status !== told) manager.notify(...(isReady ? ["READY=1"] : []), `STATUS=${status}`);
    told = status;
    if (isReady === wasReady) continue;
    wasReady = isReady;
    if (isReady) logger.log("info", "ready");
    else logger.log("warn", "not ready any more", { problems });
  }
}
