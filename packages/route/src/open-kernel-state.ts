import { errno, KernelError } from "@loden/linux";
import type { Netns } from "@loden/netns";
import { type CallOptions, openRtnetlink, type Route, type Rtnetlink } from "@loden/rtnetlink";
import { carryOut, type Outcome } from "./carry-out-state.ts";
import { type DesiredState, type StateObject, stateObjects } from "./desired-state.ts";
import { formatObject } from "./format-state-plan.ts";
import { readSnapshot } from "./kernel-snapshot.ts";
import type { KernelState, StateChanges } from "./kernel-state.ts";
import { planState } from "./plan-state.ts";
import { StateApplyError, StateConflictError, type StateFailure } from "./state-errors.ts";
import { type StateEvent, StateEvents } from "./state-events.ts";
import type { StatePlan } from "./state-plan.ts";
import type { StateScope } from "./state-scope.ts";

/** Options of {@link openKernelState}: where, and what is ours. */
export interface OpenKernelStateOptions {
  /** Namespace to work in; without it, that of the calling thread. Keep it open as long as the state. */
  readonly netns?: Netns | undefined;
  /**
   * Names of links that are ours: made, mended, made again and deleted, with the addresses, neighbours and forwarding entries on
   * them. One that is there and not desired is deleted. None without it.
   */
  readonly links?: readonly string[] | undefined;
  /** Routing table. Default 254, main. */
  readonly table?: number | undefined;
  /** Number that marks routes of ours, 1-255 (RTPROT_*; see /etc/iproute2/rt_protos). Default 76, Loden's. */
  readonly protocol?: number | undefined;
  /** Of the routes of that number, which are ours, so that several states can share a table: say those out of one link. All without it. */
  readonly ownsRoute?: ((route: Route) => boolean) | undefined;
  /** Put back what others remove or change, within some 20 ms. Default false. */
  readonly repair?: boolean | undefined;
}

/**
 * Opens what is ours in the kernel's tables: desired state goes in, the kernel follows. Needs CAP_NET_ADMIN in the namespace
 * to change anything. Whatever carries our protocol number, or is on a link of ours, is ours to remove.
 *
 * @param options Namespace, names of our links, protocol number and whether to repair.
 * @returns The state; close it after use, which leaves everything in the kernel.
 * @throws {RangeError} The protocol or table number is none.
 * @throws {KernelError} EPERM when the namespace may not be entered.
 */
export function openKernelState(options: OpenKernelStateOptions = {}): KernelState {
  const { netns, links = [], table = 254, protocol = 76, ownsRoute, repair = false } = options;
  if (!Number.isInteger(protocol) || protocol < 1 || protocol > 255)
    throw new RangeError(`Cannot open kernel state: protocol ${protocol}, expected 1 to 255`);
  if (!Number.isInteger(table) || table < 1 || table > 0xffff_ffff)
    throw new RangeError(`Cannot open kernel state: table ${table}, expected 1 to 4294967295`);
  const rtnetlink = openRtnetlink({ netns });
  return new RtnetlinkState(rtnetlink, netns?.name, { links, table, protocol, ownsRoute }, repair);
}

class RtnetlinkState implements KernelState {
  readonly #rtnetlink: Rtnetlink;
  readonly #scope: StateScope;
  readonly #events: StateEvents;
  /** The call that is under way; the next one waits for it. */
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(rtnetlink: Rtnetlink, netns: string | undefined, scope: StateScope, _repair: boolean) {
    this.#rtnetlink = rtnetlink;
    this.#scope = scope;
    this.#events = new StateEvents({ netns, table: scope.table, protocol: scope.protocol });
  }

  async list(options: CallOptions = {}): Promise<StateObject[]> {
    const { links, protocol, ownsRoute } = this.#scope;
    const snapshot = await readSnapshot(this.#rtnetlink, this.#scope, options);
    return [
      ...stateObjects({
        ...snapshot,
        links: snapshot.links.filter(({ name }) => links.includes(name)),
        routes: snapshot.routes.filter(
          (route) => route.protocol === protocol && (ownsRoute?.(route) ?? true),
        ),
      }),
    ];
  }

  apply(desired: DesiredState, options: CallOptions = {}): Promise<StateChanges> {
    return this.#exclusive(async () => {
      options.signal?.throwIfAborted();
      return this.#settle(this.#own(desired), options);
    });
  }

  watch(options: CallOptions = {}): AsyncIterable<StateEvent> {
    return this.#events.open(options.signal);
  }

  clear(options: CallOptions = {}): Promise<StateChanges> {
    return this.#exclusive(async () => this.#settle({}, options));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#rtnetlink.close();
    this.#events.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Makes it so: what is done to links changes what is on them, so the rest is planned again after that. */
  async #settle(desired: DesiredState, options: CallOptions): Promise<StateChanges> {
    let plan = planState(desired, await readSnapshot(this.#rtnetlink, this.#scope, options), this.#scope);
    const links = await carryOut(this.#rtnetlink, plan.links, options);
    if (plan.links.length > 0)
      plan = planState(desired, await readSnapshot(this.#rtnetlink, this.#scope, options), this.#scope);
    const rest = await carryOut(this.#rtnetlink, plan.changes, options);
    const failures = [...links.failures, ...refusals(plan), ...rest.failures];
    const changes = summary(links, rest);
    if (failures.length > 0) throw new StateApplyError(failures, changes);
    return changes;
  }

  /** The desired state with our table and protocol number, checked for what is not ours. */
  #own(desired: DesiredState): DesiredState {
    const { links, table, protocol, ownsRoute } = this.#scope;
    const foreign = (object: StateObject, link: string): RangeError =>
      new RangeError(
        `Cannot apply ${formatObject(object)}: ${link} is no link of ours, expected ${links.join(" or ") || "none"}`,
      );
    const routes = desired.routes?.map((route) => {
      const own = { ...route, table: route.table ?? table, protocol: route.protocol ?? protocol };
      if (own.table !== table || own.protocol !== protocol || ownsRoute?.(own) === false)
        throw new RangeError(
          `Cannot apply ${formatObject({ type: "route", route })}: it is not one of ours, ` +
            `expected table ${table} and protocol ${protocol} or none`,
        );
      return own;
    });
    const own = { ...desired, routes };
    for (const object of stateObjects({ ...own, routes: [] })) {
      const link = linkNameOf(object);
      if (link !== undefined && !links.includes(link)) throw foreign(object, link);
    }
    return own;
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

function linkNameOf(object: StateObject): string | undefined {
  switch (object.type) {
    case "link":
      return object.link.name;
    case "address":
      return object.address.link;
    case "neighbour":
      return object.neighbour.link;
    case "fdb":
      return object.entry.link;
    case "route":
      return undefined;
  }
}

/** What a plan cannot do: its conflicts, and one error for each link that is not there. */
function refusals(plan: StatePlan): StateFailure[] {
  const waiting = Map.groupBy(plan.blocked, ({ link }) => link);
  return [
    ...plan.conflicts.map((conflict) => ({
      object: conflict.object,
      error: new StateConflictError(conflict),
    })),
    ...Array.from(waiting, ([link, blocked]) => ({
      object: blocked[0]!.object,
      error: new KernelError({
        attempt: `add ${formatObject(blocked[0]!.object)}`,
        syscall: "netlink",
        errno: errno.ENODEV,
        detail: `there is no link "${link}", for which ${blocked.length} wait`,
      }),
    })),
  ];
}

function summary(...outcomes: readonly Outcome[]): StateChanges {
  const objects = (verb: "add" | "replace" | "remove"): StateObject[] =>
    outcomes.flatMap(({ done }) => done.filter((change) => change.verb === verb).map(({ object }) => object));
  return { added: objects("add"), replaced: objects("replace"), removed: objects("remove") };
}
