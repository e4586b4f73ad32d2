import { formatMetrics } from "./format-metrics.ts";
import type { Answers } from "./http-server.ts";
import { readMetrics } from "./metrics.ts";
import type { NodeHealth } from "./node-health.ts";

/**
 * What probes and monitoring ask for. `/healthz` says that the process answers, `/readyz` whether packets can flow now: it turns to 503 and back.
 *
 * @param health what is known of the daemon.
 * @param version of the program.
 * @returns the answers by path.
 */
export function probeAnswers(health: NodeHealth, version: string): Answers {
  return {
    "/healthz": () => [200, "text/plain", "lodend is running\n"],
    "/readyz": () => {
      const problems = health.problems();
      if (problems.length === 0) return [200, "text/plain", "lodend is ready\n"];
      return [503, "text/plain", `lodend is not ready:\n${problems.map((text) => `- ${text}\n`).join("")}`];
    },
    "/metrics": () => [200, "text/plain; version=0.0.4", formatMetrics(readMetrics(health, version))],
  };
}
