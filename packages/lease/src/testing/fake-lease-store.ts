import {
  formatSubnet,
  type NetworkConfig,
  parseNetworkConfig,
  sameSubnet,
  type Subnet,
  subnetsOverlap,
} from "@loden/subnet";
import type { Clock } from "../clock.ts";
import type { Lease, LeaseAttributes } from "../lease.ts";
import { LeaseConflictError, LeaseExistsError, LeaseLostError, StoreClosedError } from "../lease-errors.ts";
import type {
  ClaimOptions,
  LeaseEvent,
  LeaseList,
  LeaseStore,
  LeaseStoreSupports,
  RenewOptions,
  StoreCallOptions,
  WatchOptions,
} from "../lease-store.ts";
import { ManualClock } from "./manual-clock.ts";

/**
 * The least that fulfils the contract, for tests that set the scene by hand: nothing expires by itself, and a watch tells
 * everything by snapshots. `@loden/lease-memory` is the one to run a network on.
 */
export interface FakeLeaseStore extends LeaseStore {
  /** Opens a further handle on the same leases, as another host would. Each handle is closed by itself. */
  open(): FakeLeaseStore;
  /**
   * Writes a lease whatever is there, as a flannel host renews and an operator reserves.
   *
   * @param subnet - Whose lease.
   * @param attributes - What it publishes.
   * @param ttlMs - How long it lasts; a reservation when absent.
   * @returns The lease.
   */
  put(subnet: Subnet, attributes: LeaseAttributes, ttlMs?: number): Lease;
  /**
   * Deletes a lease whatever is there, as an operator or an expiry does.
   *
   * @param subnet - Whose lease.
   */
  remove(subnet: Subnet): void;
  /**
   * Makes every watch that is waiting fail.
   *
   * @param error - What it rejects with.
   */
  breakWatches(error: Error): void;
}

/**
 * Makes a fake store.
 *
 * @param options - `config`: the network configuration as JSON, 10.5.0.0/16 when absent; `clock`: what expiry is counted by.
 * @returns The store, without leases.
 */
export function createFakeLeaseStore(
  options: { readonly config?: string; readonly clock?: Clock } = {},
): FakeLeaseStore {
  const { config = '{"Network":"10.5.0.0/16"}', clock = new ManualClock() } = options;
  return new FakeStore({ config, clock, leases: new Map(), waiting: new Set(), revision: 0 });
}

/** What the handles share. */
interface FakeState {
  readonly config: string;
  readonly clock: Clock;
  readonly leases: Map<string, Lease>;
  readonly waiting: Set<{ wake: () => void; fail: (error: Error) => void }>;
  revision: number;
}

class FakeStore implements FakeLeaseStore {
  readonly supports: LeaseStoreSupports = {
    ttl: false,
    resume: false,
    reservations: true,
    flannelText: false,
  };
  readonly #state: FakeState;
  #isClosed = false;

  constructor(state: FakeState) {
    this.#state = state;
  }

  open(): FakeLeaseStore {
    return new FakeStore(this.#state);
  }

  async getNetwork(options: StoreCallOptions = {}): Promise<NetworkConfig> {
    this.#enter("read the network", options);
    return parseNetworkConfig(this.#state.config);
  }

  async list(options: StoreCallOptions = {}): Promise<LeaseList> {
    this.#enter("list leases", options);
    return { leases: [...this.#state.leases.values()], revision: `${this.#state.revision}` };
  }

  async claim(subnet: Subnet, attributes: LeaseAttributes, options: ClaimOptions): Promise<Lease> {
    this.#enter("claim subnet", options);
    const holder = [...this.#state.leases.values()].find((lease) => subnetsOverlap(lease.subnet, subnet));
    if (holder !== undefined) throw new LeaseExistsError(subnet, holder);
    return this.put(subnet, attributes, options.ttlMs);
  }

  async renew(lease: Lease, options: RenewOptions): Promise<Lease> {
    this.#enter("renew lease", options);
    const held = this.#compare(lease);
    if (held === undefined) throw new LeaseLostError(lease);
    const ttlMs = held.expiresAt === undefined ? undefined : options.ttlMs;
    return this.put(lease.subnet, options.attributes ?? lease.attributes, ttlMs);
  }

  async release(lease: Lease, options: StoreCallOptions = {}): Promise<void> {
    this.#enter("release lease", options);
    if (this.#compare(lease) !== undefined) this.remove(lease.subnet);
  }

  async *watch(options: WatchOptions = {}): AsyncGenerator<LeaseEvent, void, undefined> {
    this.#enter("watch leases", options);
    const { subnet } = options;
    let told = options.since;
    while (!this.#isClosed) {
      options.signal?.throwIfAborted();
      const revision = `${this.#state.revision}`;
      if (told === revision) {
        await this.#change(options.signal);
        continue;
      }
      told = revision;
      const leases = [...this.#state.leases.values()].filter((lease) => {
        return subnet === undefined || sameSubnet(lease.subnet, subnet);
      });
      yield { type: "snapshot", leases, revision };
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wake();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  put(subnet: Subnet, attributes: LeaseAttributes, ttlMs?: number): Lease {
    this.#state.revision += 1;
    const expiresAt = ttlMs === undefined ? undefined : this.#state.clock.now() + ttlMs;
    const lease: Lease = { subnet, attributes, expiresAt, revision: `${this.#state.revision}` };
    this.#state.leases.set(formatSubnet(subnet), lease);
    this.#wake();
    return lease;
  }

  remove(subnet: Subnet): void {
    if (!this.#state.leases.delete(formatSubnet(subnet))) return;
    this.#state.revision += 1;
    this.#wake();
  }

  breakWatches(error: Error): void {
    for (const waiting of this.#state.waiting) waiting.fail(error);
  }

  #enter(operation: string, { signal }: StoreCallOptions): void {
    signal?.throwIfAborted();
    if (this.#isClosed) throw new StoreClosedError(operation);
  }

  #compare(lease: Lease): Lease | undefined {
    const held = this.#state.leases.get(formatSubnet(lease.subnet));
    if (held !== undefined && held.revision !== lease.revision) throw new LeaseConflictError(lease, held);
    return held;
  }

  #wake(): void {
    for (const waiting of this.#state.waiting) waiting.wake();
  }

  async #change(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting = { wake: resolve, fail: reject };
    const stop = (): void => reject(signal?.reason as Error);
    this.#state.waiting.add(waiting);
    signal?.addEventListener("abort", stop, { once: true });
    try {
      await promise;
    } finally {
      this.#state.waiting.delete(waiting);
      signal?.removeEventListener("abort", stop);
    }
  }
}
