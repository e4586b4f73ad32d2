import { followLeases, type Lease, type LeaseStore } from "@loden/lease";
import { formatSubnet } from "@loden/subnet";
import { StoreUnavailableError } from "../etcd-errors.ts";

/** Follows the leases, through the engine for its state and by itself for the order of events. */
export class WatchfulFollower {
  /** Owner by subnet. */
  known: Record<string, string> = {};
  /** Revision by subnet, as last told. */
  get revisions(): Record<string, string> {
    return Object.fromEntries(this.#revisions);
  }
  /** Revisions that did not rise. */
  readonly fallen: string[] = [];
  readonly #revisions = new Map<string, string>();
  readonly #store: LeaseStore;
  readonly #following: Promise<unknown>;

  /** @param store - what it follows; closed with it */
  constructor(store: LeaseStore) {
    this.#store = store;
    this.#following = Promise.all([this.#follow(), this.#watch()]);
  }

  /** Stops following. */
  async close(): Promise<void> {
    await this.#store.close();
    await this.#following;
  }

  async #follow(): Promise<void> {
    for await (const { peers } of followLeases(this.#store)) {
      this.known = Object.fromEntries(peers.map((peer) => [formatSubnet(peer.subnet), ownerOf(peer)]));
    }
  }

  async #watch(): Promise<void> {
    const told = new Map<string, bigint>();
    let since: string | undefined;
    for (;;) {
      try {
        for await (const event of this.#store.watch({ since })) {
          since = event.revision;
          if (event.type === "snapshot") this.#revisions.clear();
          else if (event.type === "removed") this.#revisions.delete(formatSubnet(event.subnet));
          const leases =
            event.type === "snapshot" ? event.leases : event.type === "removed" ? [] : [event.lease];
          for (const { subnet, revision } of leases) {
            const key = formatSubnet(subnet);
            const last = told.get(key) ?? 0n;
            const isOld = event.type === "snapshot" ? BigInt(revision) < last : BigInt(revision) <= last;
            if (isOld) this.fallen.push(`${key}: ${revision} after ${last}`);
            told.set(key, BigInt(revision));
            this.#revisions.set(key, revision);
          }
        }
        return;
      } catch (error) {
        if (!(error instanceof StoreUnavailableError)) throw error;
      }
    }
  }
}

function ownerOf(lease: Lease): string {
  return lease.attributes.publicIP?.toString() ?? "nobody";
}
