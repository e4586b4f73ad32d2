import {
  acquireLease,
  type AcquiredLease,
  followLeases,
  keepLease,
  type KeepEvent,
  type Lease,
  type LeaseAttributes,
  parseLeaseValue,
  releaseLease,
} from "@loden/lease";
import { createSeededRandom } from "@loden/lease/testing";
import { formatSubnet, type Subnet } from "@loden/subnet";
import { createMemoryLeaseStore } from "../index.ts";
import { joinSignals } from "./abort-signals.fixture.ts";
import { FaultyLink, OutageError } from "./faulty-link.fixture.ts";
import { NodeClock } from "./node-clock.fixture.ts";
import type { World } from "./world.fixture.ts";

/** What a node says of itself. Only `held` claims that the subnet is this node's and nobody else's. */
export type NodeState = "down" | "acquiring" | "held" | "unconfirmed";

/** One host: the engine as a daemon wires it, over a link of its own. */
export class SimulatedNode {
  readonly name: string;
  readonly attributes: LeaseAttributes;
  readonly clock: NodeClock;
  readonly link: FaultyLink;
  readonly #world: World;
  readonly #random: () => number;
  #state: NodeState = "down";
  #lease: Lease | undefined;
  #peers: readonly Lease[] | undefined;
  /** What its `subnet.env` says; survives crashes. */
  #previous: Subnet | undefined;
  #stop = new AbortController();
  #run: Promise<void> = Promise.resolve();

  /**
   * @param world - Where it lives.
   * @param index - Its number, from which its address follows.
   */
  constructor(world: World, index: number) {
    this.#world = world;
    this.name = `node ${index}`;
    this.attributes = parseLeaseValue(`{"PublicIP":"192.0.${index >> 8}.${index & 255}"}`);
    this.clock = new NodeClock(world.clock, Math.floor(world.random() * 1e9));
    this.link = new FaultyLink(world, this, createMemoryLeaseStore(world.storage));
    this.#random = createSeededRandom(Math.floor(world.random() * 2 ** 32));
  }

  /** What it says of itself now. */
  get state(): NodeState {
    return this.#state;
  }

  /** Its lease as last confirmed; while `held` or `unconfirmed`. */
  get lease(): Lease | undefined {
    return this.#lease;
  }

  /** The peers that it was told of last; none before it has heard. */
  get peers(): readonly Lease[] | undefined {
    return this.#peers;
  }

  /** Boots it, if it is down. */
  start(): void {
    if (this.#state !== "down") return;
    this.#stop = new AbortController();
    this.#enter("acquiring");
    this.#run = this.#runDaemon(this.#stop.signal).catch((error: unknown) => {
      if (!this.#stop.signal.aborted) this.#world.fail(error as Error);
    });
  }

  /** Kills it; what it had sent may arrive. */
  crash(options: { readonly losesDisk: boolean }): void {
    this.#stop.abort();
    this.link.suspend(false);
    if (options.losesDisk) this.#previous = undefined;
    this.#enter("down");
  }

  /** Stops it in good order and gives the lease back. */
  async stopAndRelease(options: { readonly losesDisk: boolean }): Promise<void> {
    const lease = this.#lease;
    this.crash(options);
    await this.#run;
    if (lease === undefined) return;
    // An outage leaves the lease to its expiry; another host's lease stays.
    await releaseLease(this.link.store, lease).catch(() => {});
  }

  async #runDaemon(signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        const { link, attributes, clock } = this;
        const options = { attributes, previous: this.#previous, ttlMs: this.#world.ttlMs, clock, signal };
        const acquired = await acquireLease(link.store, { ...options, random: this.#random });
        this.#previous = acquired.lease.subnet;
        this.#enter("held", acquired.lease);
        await this.#hold(acquired, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (!isExpected(error)) throw error;
        this.#world.note(this.name, "failed", (error as Error).message);
        await this.clock.sleep(2_000 + this.#random() * 6_000, { signal });
      }
      this.#enter("acquiring");
    }
  }

  async #hold(acquired: AcquiredLease, stop: AbortSignal): Promise<void> {
    const lost = new AbortController();
    using joined = joinSignals(stop, lost.signal);
    const { signal } = joined;
    const tasks = [this.#keep(acquired, signal), this.#follow(acquired.lease, signal)];
    const ended = tasks.map(async (task) => {
      try {
        await task;
      } catch (error) {
        if (!signal.aborted) throw error;
      } finally {
        lost.abort();
      }
    });
    await Promise.all(ended);
    stop.throwIfAborted();
  }

  async #keep({ lease, validUntil }: AcquiredLease, signal: AbortSignal): Promise<void> {
    const { clock } = this;
    const options = { ttlMs: this.#world.ttlMs, validUntil, clock, random: this.#random, signal };
    for await (const event of keepLease(this.link.store, lease, options)) {
      this.#world.note(this.name, event.type, formatSubnet(lease.subnet));
      this.#take(event);
    }
  }

  #take(event: KeepEvent): void {
    if (event.type === "renewed") this.#enter("held", event.lease);
    else if (event.type === "expired") this.#enter("unconfirmed", event.lease);
    else if (event.type !== "retrying") this.#enter("acquiring");
  }

  async #follow(own: Lease, signal: AbortSignal): Promise<void> {
    const { clock } = this;
    const updates = followLeases(this.link.store, { own, clock, random: this.#random, signal });
    for await (const { peers } of updates) this.#peers = peers;
  }

  #enter(state: NodeState, lease?: Lease): void {
    const isNew = state !== this.#state || lease?.revision !== this.#lease?.revision;
    this.#state = state;
    this.#lease = lease;
    if (lease === undefined) this.#peers = undefined;
    if (!isNew) return;
    this.#world.note(this.name, state, lease && `${formatSubnet(lease.subnet)} revision ${lease.revision}`);
    this.#world.changed(this);
  }
}

function isExpected(error: unknown): boolean {
  return error instanceof OutageError || (error as { code?: unknown }).code === "ERR_SUBNET_EXHAUSTED";
}
