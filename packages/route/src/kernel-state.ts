import type { CallOptions } from "@loden/rtnetlink";
import type { DesiredState, StateObject } from "./desired-state.ts";
import type { StateEvent } from "./guard/state-events.ts";
import type { StatePlan } from "./plan/state-plan.ts";

/** What a call changed in the kernel. */
export interface StateChanges {
  /** Objects that were missing. */
  readonly added: readonly StateObject[];
  /** Objects of ours that were different, as they are now. */
  readonly replaced: readonly StateObject[];
  /** Objects of ours that were not desired; those that went with their link are not counted. */
  readonly removed: readonly StateObject[];
}

/** What is ours in the kernel's tables of one network namespace. */
export interface KernelState extends Disposable {
  /** Lists what is ours: links, and addresses, neighbours, forwarding entries and routes. */
  list(options?: CallOptions): Promise<StateObject[]>;
  /**
   * Makes what is ours exactly the desired state: links first (what is not desired goes with its link), then addresses,
   * neighbours, forwarding entries and routes, then removals the other way round. Idempotent; calls wait for each other. What cannot be had neither stops nor delays the rest,
   * and is tried again with `repair`.
   *
   * @param desired All there should be.
   * @returns What changed: three empty lists when all was well already.
   * @throws {RangeError} Something names a link that is not ours, or a route another table or protocol, or one that is not
   *   ours; nothing changed.
   * @throws {StateApplyError} ERR_STATE_APPLY: with all that could not be had.
   */
  apply(desired: DesiredState, options?: CallOptions): Promise<StateChanges>;
  /**
   * Says what {@link KernelState.apply} would do now, and does nothing.
   *
   * @throws {RangeError} As `apply` does.
   */
  plan(desired: DesiredState, options?: CallOptions): Promise<StatePlan>;
  /**
   * Watches what others do to the state that {@link KernelState.apply} was last given, and with `repair` what is done about it.
   * Open when it returns; iterate once. `break` and {@link KernelState.close} end it, aborting rejects with `signal.reason`.
   */
  watch(options?: CallOptions): AsyncIterable<StateEvent>;
  /** Removes all that is ours, also what an earlier process left, and desires nothing from now on. */
  clear(options?: CallOptions): Promise<StateChanges>;
  /** Stops watching and repairing; what is in the kernel stays. Again does nothing. */
  close(): void;
}
