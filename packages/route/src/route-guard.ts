import type { ListedRoute, Route, Rtnetlink } from "@loden/rtnetlink";
import type { Outcome } from "./carry-out.ts";
import { concerns, type Watched, watched } from "./concerns.ts";
import type { RoutePlan } from "./plan-routes.ts";
import type { RouteEvents } from "./route-events.ts";
import { routeKey } from "./route-key.ts";

/** Notifications come in bursts (a link that goes down takes many routes along): inspect once for all of them. */
const SETTLE_MS = 20;
/** Somebody who undoes each repair is answered ever more slowly, down to this rhythm. */
const SLOWEST_MS = 5_000;
/** Repairs in a row before that begins. */
const PATIENCE = 10;

/** The part of a route table that watches the kernel: when to inspect, and what to report of what is found. */
export class RouteGuard {
  readonly #rtnetlink: Rtnetlink;
  readonly #scope: { readonly table: number; readonly protocol: number };
  readonly #events: RouteEvents;
  readonly #inspect: () => Promise<void>;
  #desired: Watched | undefined;
  /** What is wrong with which route, as last reported, so that it is reported once. */
  readonly #troubles = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #lastRepair = 0;
  #repairsInRow = 0;
  #started = false;
  #stopped = false;

  /**
   * @param inspect Called some time after a notification that concerns a desired route.
   */
  constructor(
    rtnetlink: Rtnetlink,
    scope: { readonly table: number; readonly protocol: number },
    events: RouteEvents,
    inspect: () => Promise<void>,
  ) {
    this.#rtnetlink = rtnetlink;
    this.#scope = scope;
    this.#events = events;
    this.#inspect = inspect;
  }

  /** Begins to watch the kernel; again does nothing. */
  start(): void {
    if (this.#started || this.#stopped) return;
    this.#started = true;
    const notifications = this.#rtnetlink.watch(["links", "addresses", "routes"]);
    void this.#follow(notifications);
  }

  /** Ends what waits; the notifications end with the connection. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** Sets the desired routes; undefined when there are none to guard. */
  expect(desired: readonly Route[] | undefined): void {
    this.#desired = desired && watched(desired, this.#scope.table, this.#scope.protocol);
    this.#troubles.clear();
  }

  /** Notes what `apply` could not do, which its caller was told: no event, but a later success is `repaired`. */
  applied(plan: RoutePlan, { failures }: Outcome): void {
    for (const { desired } of plan.conflicts) this.#troubles.set(routeKey(desired), "conflict");
    for (const { route, error } of failures) this.#troubles.set(routeKey(route), error.message);
  }

  /** Reports what an inspection found. */
  found(plan: RoutePlan): void {
    this.#forgetAdded(plan);
    for (const route of plan.add) {
      // One that is missing for a reason already reported is no news.
      const known = this.#troubles.get(routeKey(route));
      if (known !== undefined && known !== "changed") continue;
      this.#troubles.set(routeKey(route), "removed");
      this.#events.publish({ type: "removed", route });
    }
    for (const { desired: route, current } of plan.replace)
      if (this.#isNew(route, "changed"))
        this.#events.publish({ type: "changed", route, current: current as ListedRoute });
    for (const { desired: route, foreign } of plan.conflicts)
      if (this.#isNew(route, "conflict"))
        this.#events.publish({ type: "conflict", route, foreign: foreign as ListedRoute });
    for (const route of plan.remove)
      if (!this.#desired?.byKey.has(routeKey(route)) && this.#isNew(route, "added"))
        this.#events.publish({ type: "added", route: route as ListedRoute });
    for (const route of plan.keep)
      if (this.#troubles.delete(routeKey(route))) this.#events.publish({ type: "repaired", route });
  }

  /** Reports what came of a repair. */
  repaired(plan: RoutePlan, { changes, failures }: Outcome): void {
    for (const route of [...changes.added, ...changes.replaced]) {
      this.#troubles.delete(routeKey(route));
      this.#events.publish({ type: "repaired", route });
    }
    for (const route of changes.removed)
      if (this.#troubles.get(routeKey(route)) === "added") this.#troubles.delete(routeKey(route));
    for (const { route, error } of failures)
      if (this.#isNew(route, error.message)) this.#events.publish({ type: "failed", route, error });
    if (plan.add.length + plan.replace.length + plan.remove.length > 0) this.#countRepair();
  }

  /** Forgets routes that somebody added and that are gone again. */
  #forgetAdded(plan: RoutePlan): void {
    const present = new Set(plan.remove.map(routeKey));
    for (const [key, trouble] of this.#troubles)
      if (trouble === "added" && !present.has(key)) this.#troubles.delete(key);
  }

  /** Remembers what is wrong with a route; true when that is news. */
  #isNew(route: Route, trouble: string): boolean {
    const key = routeKey(route);
    if (this.#troubles.get(key) === trouble) return false;
    this.#troubles.set(key, trouble);
    return true;
  }

  async #follow(notifications: ReturnType<Rtnetlink["watch"]>): Promise<void> {
    try {
      for await (const event of notifications)
        if (this.#desired && concerns(event, this.#desired, this.#troubles.size > 0)) this.#schedule();
    } catch (error) {
      this.#events.close(error);
    }
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#stopped) return;
    const excess = Math.max(0, this.#repairsInRow - PATIENCE);
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        void this.#inspect().catch((error: unknown) => this.#events.close(error));
      },
      Math.min(SETTLE_MS * 2 ** excess, SLOWEST_MS),
    );
  }

  #countRepair(): void {
    const now = performance.now();
    this.#repairsInRow = now - this.#lastRepair < 2 * SLOWEST_MS ? this.#repairsInRow + 1 : 0;
    this.#lastRepair = now;
  }
}
