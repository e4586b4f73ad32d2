import { followLeases, type LeaseStore } from "@loden/lease";

/** The number that each host publishes, by its public address. */
export type Counts = Readonly<Record<string, number>>;

/** Follows hosts that count, and remembers what it knew when. */
export class CountingFollower {
  /** What it knew and since when, `performance.now()`; rising. */
  readonly history: { readonly at: number; readonly counts: Counts }[] = [];
  readonly #store: LeaseStore;
  readonly #following: Promise<void>;

  /** @param store - what it follows; closed with it */
  constructor(store: LeaseStore) {
    this.#store = store;
    this.#following = this.#follow();
  }

  /** What it knows. */
  get counts(): Counts {
    return this.history.at(-1)?.counts ?? {};
  }

  /**
   * Since when it knows what etcd held, or something newer.
   *
   * @param wanted - what etcd held
   * @returns an instant of `performance.now()`; `undefined` when it does not know yet
   */
  knowsSince(wanted: Counts): number | undefined {
    const hosts = Object.entries(wanted);
    return this.history.find(({ counts }) => hosts.every(([host, count]) => (counts[host] ?? -1) >= count))
      ?.at;
  }

  /** Stops following. */
  async close(): Promise<void> {
    await this.#store.close();
    await this.#following;
  }

  async #follow(): Promise<void> {
    for await (const { peers } of followLeases(this.#store)) {
      const counts = peers.map(({ attributes }): [string, number] => [
        attributes.publicIP?.toString() ?? "",
        Number(attributes.backendData),
      ]);
      this.history.push({ at: performance.now(), counts: Object.fromEntries(counts) });
    }
  }
}
