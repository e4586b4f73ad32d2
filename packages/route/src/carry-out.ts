import type { CallOptions, Route, RouteChange, Routes } from "@loden/rtnetlink";
import type { RoutePlan } from "./plan-routes.ts";
import type { RouteChanges } from "./route-table.ts";

/** What came of a plan. */
export interface Outcome {
  readonly changes: RouteChanges;
  /** Routes that the kernel refused to add, replace or remove. */
  readonly failures: readonly { readonly route: Route; readonly error: Error }[];
}

/**
 * Carries a plan out: additions and replacements first, so that no destination is without a route in between, then removals.
 */
export async function carryOut(routes: Routes, plan: RoutePlan, options: CallOptions): Promise<Outcome> {
  const changes: RouteChange[] = [
    ...plan.add.map((route) => ({ verb: "add" as const, route })),
    ...plan.replace.map(({ desired }) => ({ verb: "replace" as const, route: desired })),
    ...plan.remove.map((route) => ({ verb: "delete" as const, route })),
  ];
  const errors = await routes.change(changes, options);
  const done: Record<RouteChange["verb"], Route[]> = { add: [], replace: [], delete: [] };
  const failures: { route: Route; error: Error }[] = [];
  for (const [index, { verb, route }] of changes.entries()) {
    const error = errors[index];
    if (!error) done[verb].push(route);
    else if (verb !== "delete" || error.code !== "ESRCH") failures.push({ route, error }); // gone already is as good
  }
  return { changes: { added: done.add, replaced: done.replace, removed: done.delete }, failures };
}
