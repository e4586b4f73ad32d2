import { formatRoute } from "@loden/rtnetlink";
import type { RoutePlan } from "./plan-routes.ts";

/**
 * Writes a plan as the `ip` commands that would carry it out, one a line, in the order in which it is carried out; conflicts
 * are comments.
 *
 * @param plan The plan.
 * @returns Lines such as `ip route add 10.1.0.0/16 dev loden0 proto 76`, empty when there is nothing to do.
 */
export function formatRoutePlan(plan: RoutePlan): string {
  return [
    ...plan.add.map((route) => `ip route add ${formatRoute(route)}`),
    ...plan.replace.map(({ desired }) => `ip route replace ${formatRoute(desired)}`),
    ...plan.remove.map((route) => `ip route delete ${formatRoute(route)}`),
    ...plan.conflicts.map(
      ({ desired, foreign }) =>
        `# conflict: ${formatRoute(desired)}, which is taken by ${formatRoute(foreign)}`,
    ),
  ]
    .map((line) => `${line}\n`)
    .join("");
}
