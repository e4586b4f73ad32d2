import type { LeaseEvent, LeaseStore, WatchOptions } from "@loden/lease";
import { abortable, joinSignals } from "./abort-signals.fixture.ts";
import type { NodeClock } from "./node-clock.fixture.ts";
import type { World } from "./world.fixture.ts";

/** A call that came to nothing, as far as its caller can tell. */
export class OutageError extends Error {
  override readonly name = "OutageError";
}

/** How a cut shows: calls are refused at once, or nothing is ever answered. */
export type CutStyle = "refusing" | "silent";

/** Longest time that a request or an answer takes on a link that is up. */
export const longestHopMs = 40;

/** After this long without an answer a caller gives up. */
export const callDeadlineMs = 10_000;

/** After this long without a sign of life a watch gives up. */
const keepaliveMs = 20_000;

/** How often a request arrives after its caller gave up, and how often an answer is lost, on a link that is up. */
const lateShare = 0.01;
const lostShare = 0.01;

/**
 * What lies between one node and the store. Requests and answers take their time; they are lost while the link is cut,
 * and now and then without a cut; a request may arrive long after its caller gave up.
 */
export class FaultyLink {
  readonly #world: World;
  readonly #node: { readonly name: string; readonly clock: NodeClock };
  readonly #store: LeaseStore;
  #cut: CutStyle | undefined;
  #isWatchStalled = false;
  #lossShare = 0;
  #cleanSince = 0;
  #connection = new AbortController();
  #deliverable: PromiseWithResolvers<void> | undefined;
  /** The last write that was answered: until when it holds, counted from when it was sent. */
  #validUntil = 0;

  /**
   * @param world - Time, chance and who is writing.
   * @param node - Whose link.
   * @param store - Its handle on the storage.
   */
  constructor(world: World, node: { name: string; clock: NodeClock }, store: LeaseStore) {
    this.#world = world;
    this.#node = node;
    this.#store = store;
  }

  /** Since when nothing disturbed it, by the time of the simulation; `Infinity` while something does. */
  get cleanSince(): number {
    return this.#isClean() ? this.#cleanSince : Infinity;
  }

  /** Until when the store keeps what it confirmed last to this node, at the least. Time of the simulation. */
  get validUntil(): number {
    return this.#validUntil;
  }

  /** Cuts the link. A refused watch breaks at once, a silent one when no sign of life came for long. */
  cut(style: CutStyle): void {
    this.#cut = style;
    if (style === "refusing") return this.reset();
    const connection = this.#connection;
    void this.#world.clock.sleep(keepaliveMs).then(() => {
      if (connection === this.#connection && this.#cut !== undefined) this.reset();
    });
  }

  /** Mends the link. */
  heal(): void {
    this.#change(() => {
      this.#cut = undefined;
    });
  }

  /** Holds back what watches have to tell while calls go through, or goes on with it. */
  stallWatch(isStalled: boolean): void {
    this.#change(() => {
      this.#isWatchStalled = isStalled;
    });
  }

  /** Loses this share of all answers. */
  lose(share: number): void {
    this.#change(() => {
      this.#lossShare = share;
    });
  }

  /** Suspends or resumes the node behind it. */
  suspend(isSuspended: boolean): void {
    this.#change(() => {
      if (isSuspended) this.#node.clock.suspend();
      else this.#node.clock.resume();
    });
  }

  /** Breaks the connection that the watches use. */
  reset(): void {
    this.#connection.abort(new OutageError("the connection was reset"));
    this.#connection = new AbortController();
  }

  /** The store as the node sees it. */
  readonly store: LeaseStore = {
    supports: { ttl: true, resume: true, reservations: true, flannelText: true },
    getNetwork: (options) => this.#call(() => this.#store.getNetwork(), options),
    list: (options) => this.#call(() => this.#store.list(), options),
    claim: (subnet, attributes, options) =>
      this.#write(() => this.#store.claim(subnet, attributes, { ttlMs: options.ttlMs }), options),
    renew: (lease, { signal, ...options }) =>
      this.#write(() => this.#store.renew(lease, options), { ...options, signal }),
    release: (lease, options) => this.#call(() => this.#store.release(lease), options),
    watch: (options) => this.#watch(options),
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };

  async #write<Result extends { readonly expiresAt: number | undefined }>(
    apply: () => Promise<Result>,
    options: { readonly ttlMs: number; readonly signal?: AbortSignal | undefined },
  ): Promise<Result> {
    const sentAt = this.#world.clock.elapsed();
    const lease = await this.#call(apply, options);
    this.#validUntil = lease.expiresAt === undefined ? Infinity : sentAt + options.ttlMs;
    return lease;
  }

  async #call<Result>(
    apply: () => Promise<Result>,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Result> {
    const { clock, random } = this.#world;
    const deadline = clock.elapsed() + callDeadlineMs;
    const fate = random();
    await this.#sendRequest(apply, signal);
    if (this.#cut === undefined && fate < lateShare) {
      this.#applyLater(apply, callDeadlineMs + random() * 3 * callDeadlineMs);
      return this.#giveUp(deadline, signal);
    }
    if (this.#cut !== undefined) return this.#giveUp(deadline, signal);
    const outcome = await this.#settle(apply);
    if (fate > 1 - lostShare - this.#lossShare) return this.#giveUp(deadline, signal);
    await clock.sleep(this.#hopMs(), { signal });
    if (this.#cut !== undefined) return this.#giveUp(deadline, signal);
    await this.#node.clock.awake(signal);
    if ("error" in outcome) throw outcome.error;
    return outcome.value;
  }

  async #sendRequest(apply: () => Promise<unknown>, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    try {
      await this.#world.clock.sleep(this.#hopMs(), { signal });
    } catch (error) {
      // The caller is gone; its request may be on the way all the same.
      if (this.#world.random() < 0.5) this.#applyLater(apply, this.#hopMs());
      throw error;
    }
  }

  #applyLater(apply: () => Promise<unknown>, delayMs: number): void {
    void this.#world.clock.sleep(delayMs).then(() => {
      if (this.#cut === undefined) void this.#settle(apply);
    });
  }

  /** The store does its writing in one synchronous stretch, so that whoever listens to it can be told who writes. */
  #settle<Result>(apply: () => Promise<Result>): Promise<{ value: Result } | { error: unknown }> {
    const result = this.#world.writeAs(this.#node.name, apply);
    return result.then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
  }

  async #giveUp(deadline: number, signal: AbortSignal | undefined): Promise<never> {
    const { clock } = this.#world;
    if (this.#cut !== "refusing") await clock.sleep(deadline - clock.elapsed(), { signal });
    await this.#node.clock.awake(signal);
    throw new OutageError("no answer");
  }

  async *#watch(options: WatchOptions = {}): AsyncGenerator<LeaseEvent, void, undefined> {
    await this.#call(async () => undefined, options);
    using joined = joinSignals(this.#connection.signal, options.signal);
    const { signal } = joined;
    for await (const event of this.#store.watch({ ...options, signal })) {
      while (!this.#canDeliver()) {
        this.#deliverable ??= Promise.withResolvers<void>();
        await abortable(this.#deliverable.promise, signal);
      }
      yield event;
    }
  }

  #canDeliver(): boolean {
    return this.#cut === undefined && !this.#isWatchStalled && !this.#node.clock.isSuspended;
  }

  #isClean(): boolean {
    return this.#canDeliver() && this.#lossShare === 0;
  }

  #change(change: () => void): void {
    const wasClean = this.#isClean();
    change();
    if (!wasClean && this.#isClean()) this.#cleanSince = this.#world.clock.elapsed();
    if (!this.#canDeliver()) return;
    this.#deliverable?.resolve();
    this.#deliverable = undefined;
  }

  #hopMs(): number {
    return 1 + Math.floor(this.#world.random() * longestHopMs);
  }
}
