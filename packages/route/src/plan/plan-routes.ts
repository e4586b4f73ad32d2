import type { Route } from "@loden/rtnetlink";
import { routeKey } from "./route-key.ts";
import { sameRoute } from "./same-route.ts";

/** A desired route whose place is taken by one that somebody else added, which is left alone. */
export interface RouteConflict {
  /** The route that cannot be had. */
  readonly desired: Route;
  /** The route with the same destination and metric, of another protocol. */
  readonly foreign: Route;
}

/** What has to be done so that a table holds the desired routes. */
export interface RoutePlan {
  /** Desired routes that are missing, in the order in which they were desired. */
  readonly add: readonly Route[];
  /** Desired routes whose place one of ours with other attributes has. */
  readonly replace: readonly { readonly current: Route; readonly desired: Route }[];
  /** Routes of ours that are not desired. */
  readonly remove: readonly Route[];
  /** Desired routes that cannot be had without harm to others. */
  readonly conflicts: readonly RouteConflict[];
}

/** Options of {@link planRoutes}. */
export interface PlanRoutesOptions {
  /** Number that marks routes of ours. */
  readonly protocol: number;
  /** Of the routes of that number, which are ours; the others are left alone. All of them without it. */
  readonly ownsRoute?: ((route: Route) => boolean) | undefined;
}

/**
 * Computes what has to change so that the routes of our protocol number are exactly the desired ones. Routes of other
 * numbers are never touched: one that has a desired route's destination and metric makes a conflict. Pure.
 *
 * @param desired Routes to have, no two of one destination and metric. Their table is not looked at; in the plan their protocol
 *   is `protocol`.
 * @param current All routes of the table, whoever added them, in the kernel's order.
 * @param options Which routes are ours.
 * @returns The plan; carrying it out and planning again gives an empty one, apart from the conflicts.
 */
export function planRoutes(
  desired: readonly Route[],
  current: Iterable<Route>,
  options: PlanRoutesOptions,
): RoutePlan {
  const { protocol, ownsRoute } = options;
  const wanted = new Map(desired.map((route) => [routeKey(route), { ...route, protocol }]));
  const ours = new Map<string, Route[]>();
  const foreign = new Map<string, Route>();
  for (const route of current) {
    const key = routeKey(route);
    const isOurs = route.protocol === protocol && (ownsRoute?.(route) ?? true);
    if (!isOurs) foreign.set(key, foreign.get(key) ?? route);
    else if (ours.get(key)?.push(route) === undefined) ours.set(key, [route]);
  }

  const add: Route[] = [];
  const replace: { current: Route; desired: Route }[] = [];
  const remove: Route[] = [];
  const conflicts: RouteConflict[] = [];
  for (const [key, route] of wanted) {
    const candidates = ours.get(key) ?? [];
    const stranger = foreign.get(key);
    const fitting = candidates.find((candidate) => sameRoute(route, candidate));
    const first = candidates[0];
    if (fitting) {
      remove.push(...candidates.filter((candidate) => candidate !== fitting));
    } else if (stranger) {
      // Replacing puts a route in the place of the first of the key, which may be theirs.
      conflicts.push({ desired: route, foreign: stranger });
      remove.push(...candidates);
    } else if (first) {
      replace.push({ current: first, desired: route });
      remove.push(...candidates.slice(1));
    } else add.push(route);
  }
  for (const [key, routes] of ours) if (!wanted.has(key)) remove.push(...routes);
  return { add, replace, remove, conflicts };
}
