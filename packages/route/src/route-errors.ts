import { formatRoute } from "@loden/rtnetlink";
import type { RouteConflict } from "./plan-routes.ts";
import type { RouteChanges } from "./route-table.ts";

/**
 * Desired routes were not added because others have their place (same destination, same metric) and those are not ours to
 * touch. Everything else was carried out.
 */
export class RouteConflictError extends Error {
  override readonly name = "RouteConflictError";
  /** What to match on. */
  readonly code = "ERR_ROUTE_CONFLICT";
  /** Each desired route with the foreign one in its place. */
  readonly conflicts: readonly RouteConflict[];

  /** @param conflicts One at least. */
  constructor(conflicts: readonly RouteConflict[]) {
    const pairs = conflicts.map(
      ({ desired, foreign }) => `${formatRoute(desired)} (there is ${formatRoute(foreign)})`,
    );
    const more = pairs.length > NAMED ? ` and ${pairs.length - NAMED} more` : "";
    super(
      `Cannot add route ${pairs.slice(0, NAMED).join(", ")}${more}: ` +
        `a route of another program has the same destination and metric, expected none`,
    );
    this.conflicts = conflicts;
  }
}

/** Several things went wrong while routes were applied; what did not was carried out. */
export class RouteApplyError extends AggregateError {
  override readonly name = "RouteApplyError";
  /** What to match on. */
  readonly code = "ERR_ROUTE_APPLY";
  /** What was carried out nevertheless. */
  readonly changes: RouteChanges;

  /**
   * @param errors Two at least: KernelErrors, and at most one RouteConflictError.
   * @param changes What was carried out.
   */
  constructor(errors: readonly Error[], changes: RouteChanges) {
    super(
      errors,
      `Cannot apply routes: ${errors.length} errors, the first: ${errors[0]?.message ?? "unknown"}`,
    );
    this.changes = changes;
  }
}

/** Conflicts that the message names. */
const NAMED = 3;
