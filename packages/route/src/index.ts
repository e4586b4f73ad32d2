/**
 * Routes as desired state: say which routes there should be, and the kernel's table follows; what others break is reported
 * and, when asked, repaired. Touches only routes that carry its own protocol number.
 *
 * @example Peers of an overlay
 * ```ts
 * import { parsePrefix } from "@loden/ip";
 * import { openRouteTable } from "@loden/route";
 *
 * using table = openRouteTable({ repair: true });
 * const { added } = await table.apply([{ destination: parsePrefix("10.5.0.0/16"), link: "loden0" }]);
 * console.log(`${added.length} routes added`);
 * for await (const event of table.watch()) console.log(event.type);
 * ```
 *
 * @module
 */
export { type DesiredLink, type DesiredState, type StateObject } from "./desired-state.ts";
export { formatRoutePlan } from "./format-route-plan.ts";
export { formatObject, formatStatePlan } from "./format-state-plan.ts";
export { type KernelSnapshot } from "./kernel-snapshot.ts";
export type { KernelState, StateChanges } from "./kernel-state.ts";
export { openKernelState, type OpenKernelStateOptions } from "./open-kernel-state.ts";
export { openRouteTable, type OpenRouteTableOptions } from "./open-route-table.ts";
export {
  openReachability,
  type OpenReachabilityOptions,
  type Reach,
  type Reachability,
} from "./open-reachability.ts";
export { planRoutes, type PlanRoutesOptions, type RouteConflict, type RoutePlan } from "./plan-routes.ts";
export { planState } from "./plan-state.ts";
export { RouteApplyError, RouteConflictError } from "./route-errors.ts";
export type { RouteEvent } from "./route-events.ts";
export { routeKey } from "./route-key.ts";
export type { RouteChanges, RouteTable } from "./route-table.ts";
export { sameRoute } from "./same-route.ts";
export { StateApplyError, StateConflictError, type StateFailure } from "./state-errors.ts";
export type { StateEvent } from "./state-events.ts";
export { stateKey } from "./state-key.ts";
export type { StateChange, StateConflict, StatePlan } from "./state-plan.ts";
export type { StateScope } from "./state-scope.ts";
