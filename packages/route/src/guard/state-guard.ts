import { KernelError } from "@loden/linux";
import type { Rtnetlink } from "@loden/rtnetlink";
import type { Outcome } from "../carry-out.ts";
import type { DesiredPlaces } from "../plan/desired-places.ts";
import type { StateObject } from "../desired-state.ts";
import { Expectation, type Meaning } from "./expectation.ts";
import type { KernelSnapshot } from "../kernel-snapshot.ts";
import type { StateFailure } from "../state-errors.ts";
import type { StateEvents } from "./state-events.ts";
import { linksOf, ownLinkOf, stateKey } from "../plan/state-key.ts";
import type { StatePlan } from "../plan/state-plan.ts";
import type { StateScope } from "../state-scope.ts";

/** Notifications come in bursts (a link that goes down takes many routes along): see to all of them at once. */
const SETTLE_MS = 20;
/** Looking at everything may take up to a third of the time while changes go on. */
const LOOK_SHARE = 3;
const LONGEST_SETTLE_MS = 500;
/** Somebody who undoes each repair is answered ever more slowly, down to this rhythm. */
const SLOWEST_MS = 1_000;
/** How often the same is repaired before that begins. */
const PATIENCE = 10;
/** Quiet after which all patience is there again. */
const QUIET_MS = 10_000;

/** What a guard asks for: to look at everything, or to put back these objects, which are said to be missing. */
export type Task = "look" | readonly StateObject[];

/** The part of a kernel state that watches the kernel: when to see to it, and what to report of what is found. */
export class StateGuard {
  readonly #rtnetlink: Rtnetlink;
  readonly #scope: StateScope;
  readonly #events: StateEvents;
  readonly #see: (task: Task) => Promise<void>;
  #expected: Expectation | undefined;
  /** What is wrong with which object, as last reported, so that it is reported once. */
  readonly #troubles = new Map<string, Trouble>();
  /** Desired objects of which a notification said that they are gone. */
  readonly #missing = new Map<string, StateObject>();
  #mustLook = false;
  #mayRetry = false;
  #timer: NodeJS.Timeout | undefined;
  #lookMs = 0;
  /** What was repaired since it was last quiet. */
  readonly #repairs = new Set<string>();
  #lastRepair = 0;
  #repeats = 0;
  #started = false;
  #stopped = false;

  /**
   * @param see Called some time after a notification that concerns the desired state.
   */
  constructor(
    rtnetlink: Rtnetlink,
    scope: StateScope,
    events: StateEvents,
    see: (task: Task) => Promise<void>,
  ) {
    this.#rtnetlink = rtnetlink;
    this.#scope = scope;
    this.#events = events;
    this.#see = see;
  }

  /** Begins to watch the kernel; again does nothing. */
  start(): void {
    if (this.#started || this.#stopped) return;
    this.#started = true;
    const groups = this.#scope.links.length > 0 ? (["neighbours", "fdb"] as const) : [];
    void this.#follow(this.#rtnetlink.watch(["links", "addresses", "routes", ...groups], { own: false }));
  }

  /** Ends what waits; the notifications end with the connection. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** Sets the desired state; undefined when there is none to guard. */
  expect(desired: DesiredPlaces | undefined): void {
    this.#expected = desired && new Expectation(desired, this.#scope);
    this.#troubles.clear();
    this.#missing.clear();
    this.#mustLook = false;
  }

  /** Takes note of what was listed. */
  saw(snapshot: KernelSnapshot): void {
    this.#expected?.saw(snapshot);
  }

  /** Notes what could not be had of a state that was just applied, which the caller is told: no event, but a later success is `repaired`. */
  applied(failures: readonly StateFailure[], plan: StatePlan): void {
    for (const { object, error } of failures) this.#isNew(object, "failed", error.message);
    for (const { object } of plan.conflicts) this.#isNew(object, "conflict", "");
    for (const { object } of plan.blocked) this.#isNew(object, "blocked", "");
  }

  /** Reports what a look found. */
  found(plan: StatePlan): void {
    const seen = new Set<string>();
    // What went with its link is not told one by one.
    const made = new Set(plan.links.map(({ verb, object }) => (verb === "add" ? ownLinkOf(object) : "")));
    const removed = new Map<string, StateObject>();
    for (const { verb, object, current = removed.get(stateKey(object)) } of [
      ...plan.links,
      ...plan.changes,
    ]) {
      const key = stateKey(object);
      seen.add(key);
      if (verb === "remove") removed.set(key, object);
      if (object.type !== "link" && linksOf(object).some((link) => made.has(link))) continue;
      if (current) this.#report(object, "changed", { type: "changed", object, current });
      else if (verb === "add") this.#reportMissing(object);
      else if (!this.#expected?.get(key)) this.#report(object, "added", { type: "added", object });
    }
    for (const { object, other, duplicate } of plan.conflicts) {
      seen.add(stateKey(object));
      if (!duplicate) this.#report(object, "conflict", { type: "conflict", object, other });
    }
    for (const { object } of plan.blocked) {
      seen.add(stateKey(object));
      this.#reportMissing(object, "blocked");
    }
    for (const [key, { object, kind }] of this.#troubles) {
      if (seen.has(key)) continue;
      this.#troubles.delete(key);
      if (kind !== "added") this.#events.publish({ type: "repaired", object });
    }
  }

  /** Reports objects of which a notification said that they are gone, and returns those that are desired still. */
  foundMissing(objects: readonly StateObject[]): StateObject[] {
    const missing = objects.filter((object) => this.#expected?.get(stateKey(object)) === object);
    for (const object of missing) this.#reportMissing(object);
    return missing;
  }

  /** Reports what came of a repair. */
  repaired({ done, failures }: Outcome): void {
    for (const { verb, object } of done) {
      const key = stateKey(object);
      const kind = this.#troubles.get(key)?.kind;
      if (kind === undefined || (verb === "remove") !== (kind === "added")) continue;
      this.#troubles.delete(key);
      if (verb !== "remove") this.#events.publish({ type: "repaired", object });
    }
    for (const { object, error } of failures)
      if (this.#isNew(object, "failed", error.message))
        this.#events.publish({ type: "failed", object, error });
    this.#countRepair([...done, ...failures].map(({ object }) => stateKey(object)));
  }

  /** Asks for a look, when what a notification said turned out not to be all. */
  lookAgain(): void {
    this.#mustLook = true;
    this.#schedule();
  }

  #reportMissing(object: StateObject, kind: "removed" | "blocked" = "removed"): void {
    // One that is missing for a reason already reported is no news.
    const known = this.#troubles.get(stateKey(object));
    if (known !== undefined && known.kind !== "changed") return;
    if (this.#isNew(object, kind, "")) this.#events.publish({ type: "removed", object });
  }

  #report(object: StateObject, kind: Trouble["kind"], event: Parameters<StateEvents["publish"]>[0]): void {
    if (this.#isNew(object, kind, "")) this.#events.publish(event);
  }

  /** Remembers what is wrong with an object; true when that is news. */
  #isNew(object: StateObject, kind: Trouble["kind"], detail: string): boolean {
    const key = stateKey(object);
    const known = this.#troubles.get(key);
    if (known?.kind === kind && known.detail === detail) return false;
    this.#troubles.set(key, { object, kind, detail });
    return true;
  }

  async #follow(notifications: ReturnType<Rtnetlink["watch"]>): Promise<void> {
    try {
      for await (const event of notifications)
        if (this.#expected) this.#note(this.#expected.meaningOf(event));
    } catch (error) {
      this.#events.close(error);
    }
  }

  #note(meaning: Meaning): void {
    if (meaning === "nothing") return;
    if (meaning === "look") this.#mustLook = true;
    else if (meaning === "retry") {
      if (!this.#hasFailed()) return;
      this.#mayRetry = true;
    } else if ("missing" in meaning) this.#missing.set(stateKey(meaning.missing), meaning.missing);
    else if (this.#troubles.has(stateKey(meaning.present))) this.#mustLook = true;
    else return;
    this.#schedule();
  }

  #hasFailed(): boolean {
    for (const { kind } of this.#troubles.values()) if (kind === "failed") return true;
    return false;
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#stopped) return;
    const excess = Math.max(0, this.#repeats - PATIENCE);
    const settle = Math.min(Math.max(SETTLE_MS, this.#lookMs * LOOK_SHARE), LONGEST_SETTLE_MS);
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        void this.#run();
      },
      Math.min(settle * 2 ** excess, SLOWEST_MS),
    );
  }

  async #run(): Promise<void> {
    const task = this.#takeTask();
    const start = performance.now();
    try {
      await this.#see(task);
      this.#lookMs = task === "look" ? performance.now() - start : 0;
    } catch (error) {
      if (this.#stopped) return;
      // Changes that keep interrupting a list, or no memory: later.
      if (error instanceof KernelError) {
        this.#countRepair(["look"]);
        this.lookAgain();
      } else this.#events.close(error);
    }
  }

  #takeTask(): Task {
    const missing = new Map(this.#missing);
    if (this.#mayRetry)
      for (const [key, { kind }] of this.#troubles) {
        const object = kind === "failed" ? this.#expected?.get(key) : undefined;
        // A link is made again when a link changes.
        if (object && object.type !== "link") missing.set(key, object);
      }
    const task = this.#mustLook ? "look" : [...missing.values()];
    this.#missing.clear();
    this.#mustLook = false;
    this.#mayRetry = false;
    return task;
  }

  #countRepair(keys: readonly string[]): void {
    if (keys.length === 0) return;
    const now = performance.now();
    if (now - this.#lastRepair > QUIET_MS) {
      this.#repeats = 0;
      this.#repairs.clear();
    }
    this.#lastRepair = now;
    if (keys.some((key) => this.#repairs.has(key))) this.#repeats++;
    for (const key of keys) this.#repairs.add(key);
  }
}

interface Trouble {
  readonly object: StateObject;
  readonly kind: "removed" | "changed" | "added" | "conflict" | "blocked" | "failed";
  /** Of a failure: why. */
  readonly detail: string;
}
