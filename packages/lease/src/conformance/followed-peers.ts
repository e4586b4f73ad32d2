import assert from "node:assert/strict";
import { formatSubnet } from "@loden/subnet";
import { followLeases, type FollowLeasesOptions, type PeerUpdate } from "../follow-leases.ts";
import type { LeaseStore } from "../lease-store.ts";
import { subnetAt } from "./context.ts";
import { describeLease } from "./watched-leases.ts";

/** Follows a store and remembers what it was told. */
export class FollowedPeers {
  /** Peers that were withdrawn, as `subnet owner`. */
  readonly removed: string[] = [];
  /** Subnets of all that was ever told. */
  readonly seen: Set<string> = new Set();
  readonly #stop = new AbortController();
  readonly #updates: AsyncGenerator<PeerUpdate, void, undefined>;
  // Always one ahead: who does not read notices no outage.
  #next: Promise<IteratorResult<PeerUpdate, void>>;

  constructor(store: LeaseStore, options: Pick<FollowLeasesOptions, "own">) {
    this.#updates = followLeases(store, { ...options, signal: this.#stop.signal });
    this.#next = this.#read();
  }

  /**
   * Reads until the peers are hosts 1 to 255 of these numbers, each on the subnet of its number.
   *
   * @param numbers - The hosts.
   * @param owner - Another host that has the first of these subnets now.
   * @returns The update by which they are.
   */
  async until(numbers: readonly number[], owner: number | undefined = numbers[0]): Promise<PeerUpdate> {
    const wanted = numbers.map((n, index) => {
      return `${formatSubnet(subnetAt(n))} 192.0.2.${index === 0 ? owner : n}`;
    });
    for (;;) {
      const { value } = await this.#next;
      assert(value !== undefined, "following ended by itself, expected another update");
      this.#next = this.#read();
      for (const { type, lease } of value.changes) {
        this.seen.add(formatSubnet(lease.subnet));
        if (type === "removed") this.removed.push(describeLease(lease));
      }
      const told = value.peers.map(describeLease);
      if (told.toSorted().join() === wanted.toSorted().join()) return value;
    }
  }

  /** Ends following. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#updates.return();
  }

  #read(): Promise<IteratorResult<PeerUpdate, void>> {
    const next = this.#updates.next();
    // Nobody may be waiting when it is stopped.
    next.catch(() => {});
    return next;
  }
}
