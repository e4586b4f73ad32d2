import type { CallOptions } from "@loden/rtnetlink";
import type { DesiredState } from "./desired-state.ts";
import type { KernelState } from "./kernel-state.ts";
import { StateApplyError, type StateFailure } from "./state-errors.ts";

/**
 * Applies a desired state, for callers who go on without what could not be had.
 *
 * @param state where to apply it.
 * @param desired all there should be.
 * @returns what could not be had, each with its error; nothing when all is as desired.
 * @throws {RangeError} as {@link KernelState.apply}.
 */
export async function applyState(
  state: KernelState,
  desired: DesiredState,
  options?: CallOptions,
): Promise<readonly StateFailure[]> {
  try {
    await state.apply(desired, options);
    return [];
  } catch (error) {
    if (error instanceof StateApplyError) return error.failures;
    throw error;
  }
}
