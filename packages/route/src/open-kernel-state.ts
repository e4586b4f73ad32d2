import { errno, KernelError } from "@loden/linux";
import type { Netns } from "@loden/netns";
import { type CallOptions, openRtnetlink, type Route, type Rtnetlink } from "@loden/rtnetlink";
import { carryOut, type Outcome } from "./carry-out.ts";
import { type DesiredPlaces, placesOf } from "./plan/desired-places.ts";
import { type DesiredState, type StateObject, stateObjects } from "./desired-state.ts";
import { formatObject } from "./plan/format-state-plan.ts";
import { readSnapshot } from "./kernel-snapshot.ts";
import type { KernelState, StateChanges } from "./kernel-state.ts";
import { LODEN_PROTOCOL } from "./loden-protocol.ts";
import { ourObjects } from "./plan/our-objects.ts";
import { planPlaces } from "./plan/plan-state.ts";
import { StateApplyError, StateConflictError, type StateFailure } from "./state-errors.ts";
import { type StateEvent, StateEvents } from "./guard/state-events.ts";
import { StateGuard, type Task } from "./guard/state-guard.ts";
import { ownLinkOf, stateKey } from "./plan/state-key.ts";
import type { StateChange, StatePlan } from "./plan/state-plan.ts";
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
  /** Number that marks routes of ours, 1-255 (RTPROT_*; see /etc/iproute2/rt_protos). Default {@link LODEN_PROTOCOL}. */
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
  const { netns, links = [], table = 254, protocol = LODEN_PROTOCOL, ownsRoute, repair = false } = options;
  if (!Number.isInteger(protocol) || protocol < 1 || protocol > 255)
    throw new RangeError(`Cannot open kernel state: protocol is ${protocol}, expected 1 to 255`);
  if (!Number.isInteger(table) || table < 1 || table > 0xffff_ffff)
    throw new RangeError(`Cannot open kernel state: table is ${table}, expected 1 to 4294967295`);
  const rtnetlink = openRtnetlink({ netns });
  try {
    return new RtnetlinkState(rtnetlink, netns?.name, { links, table, protocol, ownsRoute }, repair);
  } catch (error) {
    rtnetlink.close();
    throw error;
  }
}

/** How often links are seen to in a row: a change of one can undo a setting of it, as a small MTU does with those of IPv6. */
const MOST_ROUNDS = 3;

class RtnetlinkState implements KernelState {
  readonly #rtnetlink: Rtnetlink;
  readonly #scope: StateScope;
  readonly #repair: boolean;
  readonly #events: StateEvents;
  readonly #guard: StateGuard;
  #desired: DesiredPlaces | undefined;
  /** The call that is under way; the next one waits for it. */
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(rtnetlink: Rtnetlink, netns: string | undefined, scope: StateScope, repair: boolean) {
    this.#rtnetlink = rtnetlink;
    this.#scope = scope;
    this.#repair = repair;
    this.#events = new StateEvents({ netns, table: scope.table, protocol: scope.protocol });
    this.#guard = new StateGuard(rtnetlink, scope, this.#events, (task) => this.#see(task));
    if (repair) this.#guard.start();
  }

  async list(options: CallOptions = {}): Promise<StateObject[]> {
    return ourObjects(await readSnapshot(this.#rtnetlink, this.#scope, options), this.#scope);
  }

  apply(desired: DesiredState, options: CallOptions = {}): Promise<StateChanges> {
    return this.#exclusive(async () => {
      options.signal?.throwIfAborted();
      const own = placesOf(this.#own(desired));
      this.#desired = own;
      this.#guard.expect(own);
      const { plan, outcome } = await this.#settle(own, options);
      this.#guard.applied(outcome.failures, plan);
      return changesOf(plan, outcome);
    });
  }

  plan(desired: DesiredState, options: CallOptions = {}): Promise<StatePlan> {
    return this.#exclusive(() => this.#plan(placesOf(this.#own(desired)), options));
  }

  watch(options: CallOptions = {}): AsyncIterable<StateEvent> {
    this.#guard.start();
    return this.#events.open(options.signal);
  }

  clear(options: CallOptions = {}): Promise<StateChanges> {
    return this.#exclusive(async () => {
      this.#desired = undefined;
      this.#guard.expect(undefined);
      const { plan, outcome } = await this.#settle(placesOf({}), options);
      return changesOf(plan, outcome);
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

  /** Sees to what a notification said: reports it, and repairs it when asked to. */
  #see(task: Task): Promise<void> {
    return this.#exclusive(async () => {
      if (this.#closed || this.#desired === undefined) return;
      if (task !== "look") await this.#putBack(this.#guard.foundMissing(task));
      else if (this.#repair) {
        const { outcome } = await this.#settle(this.#desired, {}, (plan) => this.#guard.found(plan));
        this.#guard.repaired(outcome);
      } else this.#guard.found(await this.#plan(this.#desired, {}));
    });
  }

  /** Puts back what a notification said is gone, without listing anything. */
  async #putBack(missing: readonly StateObject[]): Promise<void> {
    if (!this.#repair) return;
    const changes = inOrder(missing).map((object) => ({ verb: "add", object }) as const);
    const { done, failures } = await carryOut(this.#rtnetlink, changes, {});
    // There is one after all, ours or not.
    const refused = failures.filter(
      ({ error }) => !(error instanceof KernelError && error.code === "EEXIST"),
    );
    this.#guard.repaired({ done, failures: refused });
    if (refused.length < failures.length) this.#guard.lookAgain();
  }

  /** Makes it so: what is done to links changes what is on them and links themselves, so all is planned again after that. */
  async #settle(
    desired: DesiredPlaces,
    options: CallOptions,
    found?: (plan: StatePlan) => void,
  ): Promise<{ plan: StatePlan; outcome: Outcome }> {
    const done: StateChange[] = [];
    const failures = new Map<string, StateFailure>();
    let plan = await this.#plan(desired, options);
    found?.(plan);
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const links = plan.links.filter(({ object }) => !failures.has(stateKey(object)));
      if (links.length === 0) break;
      const outcome = await carryOut(this.#rtnetlink, links, options);
      done.push(...outcome.done);
      for (const failure of outcome.failures) failures.set(stateKey(failure.object), failure);
      plan = await this.#plan(desired, options);
    }
    const rest = await carryOut(this.#rtnetlink, plan.changes, options);
    return {
      plan,
      outcome: { done: [...done, ...rest.done], failures: [...failures.values(), ...rest.failures] },
    };
  }

  async #plan(desired: DesiredPlaces, options: CallOptions): Promise<StatePlan> {
    const snapshot = await readSnapshot(this.#rtnetlink, this.#scope, options);
    this.#guard.saw(snapshot);
    return planPlaces(desired, snapshot, this.#scope);
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
      const link = ownLinkOf(object);
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

/** Objects in the order in which they are made. */
function inOrder(objects: readonly StateObject[]): StateObject[] {
  return objects.toSorted((a, b) => order.indexOf(a.type) - order.indexOf(b.type));
}

const order: readonly StateObject["type"][] = ["link", "address", "neighbour", "fdb", "route"];

function changesOf(plan: StatePlan, { done, failures }: Outcome): StateChanges {
  const objects = (verb: StateChange["verb"]): StateObject[] =>
    done.filter((change) => change.verb === verb).map(({ object }) => object);
  const changes = { added: objects("add"), replaced: objects("replace"), removed: objects("remove") };
  const refused = [...failures, ...refusals(plan)];
  if (refused.length > 0) throw new StateApplyError(refused, changes);
  return changes;
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
