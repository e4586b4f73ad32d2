import type { Netns } from "@loden/netns";
import {
  type CallOptions,
  formatRoute,
  type ListedRoute,
  openRtnetlink,
  type Route,
  type Rtnetlink,
} from "@loden/rtnetlink";
import { carryOut, type Outcome } from "./carry-out.ts";
import { planRoutes, type RoutePlan } from "./plan-routes.ts";
import { RouteApplyError, RouteConflictError } from "./route-errors.ts";
import { type RouteEvent, RouteEvents } from "./route-events.ts";
import { RouteGuard } from "./route-guard.ts";
import type { RouteChanges, RouteTable } from "./route-table.ts";

/** Options of {@link openRouteTable}. */
export interface OpenRouteTableOptions {
  /** Namespace to work in; without it, that of the calling thread. Keep it open as long as the table. */
  readonly netns?: Netns | undefined;
  /** Routing table. Default 254, main. */
  readonly table?: number | undefined;
  /** Number that marks routes of ours, 1-255 (RTPROT_*; see /etc/iproute2/rt_protos). Default 76, Loden's. */
  readonly protocol?: number | undefined;
  /** Own only the routes out of this link, so that several programs of one protocol number can share a table. Any link without it. */
  readonly link?: string | undefined;
  /** Put back what others remove or change, within some 20 ms. Default false. */
  readonly repair?: boolean | undefined;
}

/**
 * Opens the routes of one protocol number: desired routes go in, the kernel's table follows. Needs CAP_NET_ADMIN in the
 * namespace to change anything. Use a protocol number that nobody else uses in the same table: whatever carries it is ours
 * to remove.
 *
 * @param options Namespace, table, protocol number and whether to repair.
 * @returns The table; close it after use, which leaves the routes.
 * @throws {RangeError} The protocol or table number is none.
 * @throws {KernelError} EPERM when the namespace may not be entered.
 */
export function openRouteTable(options: OpenRouteTableOptions = {}): RouteTable {
  const { netns, table = 254, protocol = 76, link, repair = false } = options;
  if (!Number.isInteger(protocol) || protocol < 1 || protocol > 255)
    throw new RangeError(`Cannot open route table: protocol ${protocol}, expected 1 to 255`);
  if (!Number.isInteger(table) || table < 1 || table > 0xffff_ffff)
    throw new RangeError(`Cannot open route table: table ${table}, expected 1 to 4294967295`);
  const rtnetlink = openRtnetlink({ netns });
  try {
    return new KernelRouteTable(rtnetlink, netns?.name, { table, protocol, link, repair });
  } catch (error) {
    rtnetlink.close();
    throw error;
  }
}

interface Settings {
  readonly table: number;
  readonly protocol: number;
  readonly link: string | undefined;
  readonly repair: boolean;
}

class KernelRouteTable implements RouteTable {
  readonly #rtnetlink: Rtnetlink;
  readonly #settings: Settings;
  readonly #events: RouteEvents;
  readonly #guard: RouteGuard;
  #desired: readonly Route[] | undefined;
  /** The call that is under way; the next one waits for it. */
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(rtnetlink: Rtnetlink, netns: string | undefined, settings: Settings) {
    this.#rtnetlink = rtnetlink;
    this.#settings = settings;
    this.#events = new RouteEvents({ netns, table: settings.table, protocol: settings.protocol });
    this.#guard = new RouteGuard(rtnetlink, settings, this.#events, () => this.#inspect());
    if (settings.repair) this.#guard.start();
  }

  async list(options: CallOptions = {}): Promise<ListedRoute[]> {
    const { table, protocol, link } = this.#settings;
    const routes = await this.#rtnetlink.routes.list({ table, protocol, signal: options.signal });
    return link === undefined ? routes : routes.filter((route) => route.link === link);
  }

  apply(desired: Iterable<Route>, options: CallOptions = {}): Promise<RouteChanges> {
    return this.#exclusive(async () => {
      options.signal?.throwIfAborted();
      const routes = Array.from(desired, (route) => this.#own(route));
      const plan = await this.#plan(routes, options);
      this.#desired = routes;
      this.#guard.expect(routes);
      const outcome = await carryOut(this.#rtnetlink.routes, plan, options);
      this.#guard.applied(plan, outcome);
      throwErrors(plan, outcome);
      return outcome.changes;
    });
  }

  watch(options: CallOptions = {}): AsyncIterable<RouteEvent> {
    this.#guard.start();
    return this.#events.open(options.signal);
  }

  clear(options: CallOptions = {}): Promise<RouteChanges> {
    return this.#exclusive(async () => {
      this.#desired = undefined;
      this.#guard.expect(undefined);
      const plan = await this.#plan([], options);
      const outcome = await carryOut(this.#rtnetlink.routes, plan, options);
      throwErrors(plan, outcome);
      return outcome.changes;
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#guard.stop();
    this.#rtnetlink.close();
    this.#events.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Compares the kernel's table with what is desired, reports what others did, and repairs it when asked to. */
  #inspect(): Promise<void> {
    return this.#exclusive(async () => {
      if (this.#closed || this.#desired === undefined) return;
      const plan = await this.#plan(this.#desired, {});
      this.#guard.found(plan);
      if (this.#settings.repair) this.#guard.repaired(plan, await carryOut(this.#rtnetlink.routes, plan, {}));
    });
  }

  async #plan(desired: readonly Route[], { signal }: CallOptions): Promise<RoutePlan> {
    const { table, protocol, link } = this.#settings;
    return planRoutes(desired, await this.#rtnetlink.routes.list({ table, signal }), {
      protocol,
      ...(link !== undefined && { ownsRoute: (route: Route) => route.link === link }),
    });
  }

  #own(route: Route): Route {
    const { table, protocol, link } = this.#settings;
    if (link !== undefined && route.link !== link)
      throw new RangeError(
        `Cannot apply route ${formatRoute(route)}: it names another link, expected ${link}`,
      );
    if ((route.table ?? table) !== table || (route.protocol ?? protocol) !== protocol)
      throw new RangeError(
        `Cannot apply route ${formatRoute(route)}: it names another table or protocol, ` +
          `expected table ${table} and protocol ${protocol} or none`,
      );
    return { ...route, table, protocol };
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

function throwErrors(plan: RoutePlan, { changes, failures }: Outcome): void {
  const errors: Error[] = failures.map(({ error }) => error);
  if (plan.conflicts.length > 0) errors.unshift(new RouteConflictError(plan.conflicts));
  if (errors.length === 1) throw errors[0]!;
  if (errors.length > 1) throw new RouteApplyError(errors, changes);
}
