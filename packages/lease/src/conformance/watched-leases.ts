import assert from "node:assert/strict";
import { formatSubnet, type Subnet } from "@loden/subnet";
import type { Lease } from "../lease.ts";
import type { LeaseEvent, LeaseStore, WatchOptions } from "../lease-store.ts";

/** Watches a store and adds up what it tells. */
export class WatchedLeases {
  /** Every event so far. */
  readonly events: LeaseEvent[] = [];
  readonly #leases = new Map<string, Lease>();
  readonly #iterator: AsyncIterator<LeaseEvent>;
  readonly #stop = new AbortController();
  #stopped = false;

  constructor(store: LeaseStore, options: WatchOptions = {}) {
    const { signal = this.#stop.signal } = options;
    this.#iterator = store.watch({ ...options, signal })[Symbol.asyncIterator]();
  }

  /** What the events add up to, as `subnet owner`, sorted. */
  get state(): string[] {
    return [...this.#leases.values()].map(describeLease).toSorted();
  }

  /** The lease on a subnet, as last told. */
  get(subnet: Subnet): Lease | undefined {
    return this.#leases.get(formatSubnet(subnet));
  }

  /** Reads the next event. */
  async next(): Promise<LeaseEvent> {
    const result = await this.#iterator.next();
    assert(result.done !== true, "the watch ended by itself, expected another event");
    const event = result.value;
    this.events.push(event);
    if (event.type === "snapshot") {
      this.#leases.clear();
      for (const lease of event.leases) this.#leases.set(formatSubnet(lease.subnet), lease);
    } else if (event.type === "removed") this.#leases.delete(formatSubnet(event.subnet));
    else this.#leases.set(formatSubnet(event.lease.subnet), event.lease);
    return event;
  }

  /** Reads until something is so. */
  async until(isReached: () => boolean): Promise<void> {
    while (!isReached()) await this.next();
  }

  /** Ends the watch. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#stop.abort();
    await this.#iterator.return?.();
  }
}

/** Watches for the length of a function. */
export async function withWatch(
  store: LeaseStore,
  options: WatchOptions,
  use: (watched: WatchedLeases) => Promise<void>,
): Promise<void> {
  const watched = new WatchedLeases(store, options);
  try {
    await use(watched);
  } finally {
    await watched.stop();
  }
}

/** A lease in one line: subnet and owner. */
export function describeLease(lease: Lease): string {
  return `${formatSubnet(lease.subnet)} ${lease.attributes.publicIP?.toString() ?? "nobody"}`;
}
