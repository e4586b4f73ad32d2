import {
  type ClaimOptions,
  type Clock,
  type Lease,
  type LeaseAttributes,
  type LeaseEvent,
  type LeaseList,
  type LeaseStore,
  type LeaseStoreSupports,
  type RenewOptions,
  type StoreCallOptions,
  StoreClosedError,
  type WatchOptions,
} from "@loden/lease";
import { type NetworkConfig, parseNetworkConfig, type Subnet } from "@loden/subnet";
import { claimLease } from "./claim-lease.ts";
import { NetworkConfigMissingError } from "./etcd-errors.ts";
import { EtcdGrants, textOf } from "./etcd-grants.ts";
import type { EtcdTransport } from "./transport/etcd-transport.ts";
import { createLeaseLayout } from "./lease-layout.ts";
import { listEntries } from "./list-entries.ts";
import { releaseLease } from "./release-lease.ts";
import { renewLease } from "./renew-lease.ts";
import type { StoreContext } from "./store-context.ts";
import { watchLeases, type WatchPatience } from "./watch-leases.ts";

/** What an {@linkcode EtcdLeaseStore} is made of. */
export interface EtcdLeaseStoreParts {
  /** Closed with the store. */
  readonly transport: EtcdTransport;
  /** Below which the network is kept. */
  readonly prefix: string;
  /** What expiry is told by. */
  readonly clock: Clock;
  /** How a dead watch is noticed. */
  readonly patience: WatchPatience;
}

/** The leases of one network in etcd. Each verb is a function of its own; this holds what they share. */
export class EtcdLeaseStore implements LeaseStore {
  readonly supports: LeaseStoreSupports = { ttl: true, resume: true, reservations: true, flannelText: true };
  readonly #context: StoreContext;
  readonly #patience: WatchPatience;
  readonly #closed = new AbortController();

  /** @param parts - see there */
  constructor({ transport, prefix, clock, patience }: EtcdLeaseStoreParts) {
    const grants = new EtcdGrants(transport, clock);
    this.#context = { transport, layout: createLeaseLayout(prefix), grants };
    this.#patience = patience;
  }

  async getNetwork({ signal }: StoreCallOptions = {}): Promise<NetworkConfig> {
    this.#enter("read the network", signal);
    const { layout, transport } = this.#context;
    const { configKey } = layout;
    const call = { operation: "read the network", signal };
    const [entry] = (await transport.range({ key: Buffer.from(configKey) }, call)).entries;
    if (entry === undefined) throw new NetworkConfigMissingError(configKey);
    return parseNetworkConfig(textOf(entry.value));
  }

  async list({ signal }: StoreCallOptions = {}): Promise<LeaseList> {
    this.#enter("list leases", signal);
    const { grants, layout, transport } = this.#context;
    const { entries, revision } = await listEntries(transport, layout.leases, {
      operation: "list leases",
      signal,
    });
    return { leases: entries.flatMap((entry) => grants.readLease(entry) ?? []), revision };
  }

  async claim(subnet: Subnet, attributes: LeaseAttributes, options: ClaimOptions): Promise<Lease> {
    this.#enter("claim subnet", options.signal);
    return claimLease(this.#context, subnet, attributes, options);
  }

  async renew(lease: Lease, options: RenewOptions): Promise<Lease> {
    this.#enter("renew lease", options.signal);
    return renewLease(this.#context, lease, options);
  }

  async release(lease: Lease, options: StoreCallOptions = {}): Promise<void> {
    this.#enter("release lease", options.signal);
    return releaseLease(this.#context, lease, options);
  }

  async *watch(options: WatchOptions = {}): AsyncGenerator<LeaseEvent, void, undefined> {
    this.#enter("watch leases", options.signal);
    const closed = this.#closed.signal;
    const signal = options.signal === undefined ? closed : AbortSignal.any([options.signal, closed]);
    try {
      yield* watchLeases(this.#context, { ...options, signal }, this.#patience);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!closed.aborted) throw error;
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#context.transport.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #enter(operation: string, signal: AbortSignal | undefined): void {
    signal?.throwIfAborted();
    if (this.#closed.signal.aborted) throw new StoreClosedError(operation);
  }
}
