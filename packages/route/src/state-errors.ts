import type { StateObject } from "./desired-state.ts";
import { formatObject } from "./plan/format-state-plan.ts";
import type { StateConflict } from "./plan/state-plan.ts";
import type { StateChanges } from "./kernel-state.ts";

/** A desired object that could not be had, and why. */
export interface StateFailure {
  /** What was to be added, changed or removed. */
  readonly object: StateObject;
  /** A KernelError, a {@link StateConflictError}, or a SyntaxError or RangeError for what is no such object, say a MAC address of five bytes. */
  readonly error: Error;
}

/** A desired object's place is taken: by a route of another program, which is not ours to touch, or by another desired object. */
export class StateConflictError extends Error {
  override readonly name = "StateConflictError";
  /** What to match on. */
  readonly code = "ERR_STATE_CONFLICT";
  /** The object and what has its place. */
  readonly conflict: StateConflict;

  /** @param conflict As planned. */
  constructor(conflict: StateConflict) {
    const whose = conflict.duplicate ? "it is desired too" : "it belongs to another program";
    super(
      `Cannot add ${formatObject(conflict.object)}: there is ${formatObject(conflict.other)} in its place and ${whose}, expected none`,
    );
    this.conflict = conflict;
  }
}

/** Some objects could not be had; all the others are as desired. */
export class StateApplyError extends AggregateError {
  override readonly name = "StateApplyError";
  /** What to match on. */
  readonly code = "ERR_STATE_APPLY";
  /** Each object that could not be had, with its error, which is among {@link AggregateError.errors} too. */
  readonly failures: readonly StateFailure[];
  /** What was carried out nevertheless. */
  readonly changes: StateChanges;

  /**
   * @param failures One at least.
   * @param changes What was carried out.
   */
  constructor(failures: readonly StateFailure[], changes: StateChanges) {
    const first = failures[0]?.error.message ?? "unknown";
    super(
      failures.map(({ error }) => error),
      failures.length === 1 ? first : `Cannot apply state: ${failures.length} errors, the first: ${first}`,
    );
    this.failures = failures;
    this.changes = changes;
  }
}
