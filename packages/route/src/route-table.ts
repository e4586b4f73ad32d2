import type { CallOptions, ListedRoute, Route } from "@loden/rtnetlink";
import type { RouteEvent } from "./route-events.ts";

/** What a call changed in the kernel's table. */
export interface RouteChanges {
  /** Routes that were missing. */
  readonly added: readonly Route[];
  /** Routes of ours that had other attributes, as they are now. */
  readonly replaced: readonly Route[];
  /** Routes of ours that were not desired. */
  readonly removed: readonly Route[];
}

/** The routes of one protocol number in one routing table of one network namespace. */
export interface RouteTable extends Disposable {
  /** Lists the routes of ours, as `ip route show proto 76` and `ip -6 route show proto 76`. */
  list(options?: CallOptions): Promise<ListedRoute[]>;
  /**
   * Makes the routes of ours exactly the desired ones, IPv4 and IPv6 together: adds what is missing, replaces what has other
   * attributes, then removes the rest. Idempotent; calls wait for each other. Routes of other protocol numbers are never touched.
   *
   * @param desired All routes to have; `table` and `protocol` may be left out.
   * @returns What changed: three empty lists when all was well already.
   * @throws {RangeError} A route names another table or protocol, or two have the same destination and metric; nothing changed.
   * @throws {RouteConflictError} ERR_ROUTE_CONFLICT: somebody else's route is in a place; the others were carried out.
   * @throws {KernelError} The kernel refused one, e.g. ENETUNREACH for its gateway; the others were carried out.
   * @throws {RouteApplyError} ERR_ROUTE_APPLY: several of these.
   */
  apply(desired: Iterable<Route>, options?: CallOptions): Promise<RouteChanges>;
  /**
   * Watches what others do to the routes that {@link RouteTable.apply} was last given, and with `repair` what is done about it.
   * Open when it returns; iterate once. `break` and {@link RouteTable.close} end it, aborting rejects with `signal.reason`.
   */
  watch(options?: CallOptions): AsyncIterable<RouteEvent>;
  /** Removes every route of ours, also those of an earlier process, and desires none from now on. */
  clear(options?: CallOptions): Promise<RouteChanges>;
  /** Stops watching and repairing; the routes stay. Again does nothing. */
  close(): void;
}
