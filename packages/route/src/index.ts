/**
 * The kernel as desired state: say which links, addresses, neighbours, forwarding entries and routes there should be, and the
 * kernel's tables follow; what others break is reported and, when asked, repaired. Touches only links of the given names, what
 * is on them, and routes that carry its own protocol number.
 *
 * @example Peers of an overlay
 * ```ts
 * import { parsePrefix } from "@loden/ip";
 * import { openKernelState } from "@loden/route";
 *
 * using state = openKernelState({ repair: true });
 * const routes = [{ destination: parsePrefix("10.5.0.0/16"), link: "loden0" }];
 * const { added } = await state.apply({ routes });
 * console.log(`${added.length} routes added`);
 * for await (const event of state.watch()) console.log(event.type);
 * ```
 *
 * @module
 */
export { applyState } from "./apply-state.ts";
export { type DesiredLink, type DesiredState, type StateObject } from "./desired-state.ts";
export { formatObject, formatStatePlan } from "./plan/format-state-plan.ts";
export { LODEN_PROTOCOL } from "./loden-protocol.ts";
export { type KernelSnapshot } from "./kernel-snapshot.ts";
export type { KernelState, StateChanges } from "./kernel-state.ts";
export { openKernelState, type OpenKernelStateOptions } from "./open-kernel-state.ts";
export {
  openReachability,
  type OpenReachabilityOptions,
  type Reach,
  type Reachability,
} from "./open-reachability.ts";
export { greetNeighbours, type GreetOptions } from "./greet-neighbours.ts";
export { planState } from "./plan/plan-state.ts";
export { StateApplyError, StateConflictError, type StateFailure } from "./state-errors.ts";
export type { StateEvent } from "./guard/state-events.ts";
export { stateKey } from "./plan/state-key.ts";
export type { StateChange, StateConflict, StatePlan } from "./plan/state-plan.ts";
export type { StateScope } from "./state-scope.ts";
