import {
  type Lease,
  type LeaseAttributes,
  LeaseConflictError,
  type LeaseStore,
  parseLeaseValue,
  parseSubnetKey,
  sameOwner,
} from "@loden/lease";
import { setTimeout as sleep } from "node:timers/promises";
import { StoreUnavailableError } from "../etcd-errors.ts";

const ttlMs = 300_000;
const pauseMs = 10;

/** A host that publishes a number which it raises as fast as etcd confirms, and remembers when etcd did. */
export class CountingHost {
  /** When etcd confirmed a write; `performance.now()`, rising. */
  readonly confirmedAt: number[] = [];
  /** When the last confirmed write was begun. */
  begunAt = 0;
  readonly #store: LeaseStore;
  readonly #number: number;
  readonly #running: Promise<void>;
  #lease: Lease | undefined;
  #count = 0;
  #isStopped = false;

  /**
   * @param store - where it writes; closed with it
   * @param number - which host it is, from 1 to 254
   */
  constructor(store: LeaseStore, number: number) {
    this.#store = store;
    this.#number = number;
    this.#running = this.#run();
    // Whoever stops it learns of its failure.
    this.#running.catch(() => {});
  }

  /** Stops writing; waits for the write under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  /** Stops whatever happens. */
  async close(): Promise<void> {
    this.#isStopped = true;
    await this.#store.close();
    await this.#running.catch(() => {});
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      this.#count += 1;
      const begunAt = performance.now();
      try {
        this.#lease = await this.#write(attributesOf(this.#number, this.#count));
        this.begunAt = begunAt;
        this.confirmedAt.push(performance.now());
      } catch (error) {
        if (error instanceof LeaseConflictError) this.#adopt(error);
        else if (!(error instanceof StoreUnavailableError)) throw error;
      }
      await sleep(pauseMs);
    }
  }

  async #write(attributes: LeaseAttributes): Promise<Lease> {
    if (this.#lease !== undefined) return this.#store.renew(this.#lease, { ttlMs, attributes });
    const subnet = parseSubnetKey(`10.5.${this.#number}.0-24`) ?? {};
    return this.#store.claim(subnet, attributes, { ttlMs });
  }

  /** Nobody but us writes with our address, so a conflict with ourselves is a write whose answer was lost. */
  #adopt(error: LeaseConflictError): void {
    const { theirs } = error;
    if (theirs === undefined || !sameOwner(theirs.attributes, attributesOf(this.#number, 0))) throw error;
    this.#lease = theirs;
  }
}

function attributesOf(number: number, count: number): LeaseAttributes {
  return parseLeaseValue(`{"PublicIP":"192.0.2.${number}","BackendType":"count","BackendData":${count}}`);
}
