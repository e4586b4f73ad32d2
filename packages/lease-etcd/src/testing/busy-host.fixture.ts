import {
  type Lease,
  type LeaseAttributes,
  LeaseConflictError,
  LeaseExistsError,
  LeaseLostError,
  type LeaseStore,
  parseLeaseValue,
  parseSubnetKey,
  sameOwner,
} from "@loden/lease";
import { formatSubnet } from "@loden/subnet";
import { setTimeout as sleep } from "node:timers/promises";
import { StoreUnavailableError } from "../etcd-errors.ts";

const ttlMs = 300_000;
const subnets = Array.from({ length: 12 }, (_, index) => parseSubnetKey(`10.5.${index}.0-24`) ?? {});

/** A host that holds some of the subnets, and takes and gives them as fast as it can. */
export class BusyHost {
  /** How many writes etcd has confirmed. */
  writes = 0;
  readonly #store: LeaseStore;
  readonly #attributes: LeaseAttributes;
  readonly #held = new Map<string, Lease>();
  readonly #running: Promise<void>;
  #isStopped = false;

  /**
   * @param store - where it claims; closed with it
   * @param number - which host it is, from 1 to 254
   */
  constructor(store: LeaseStore, number: number) {
    this.#store = store;
    this.#attributes = parseLeaseValue(`{"PublicIP":"192.0.2.${number}"}`);
    this.#running = this.#run();
  }

  /** The subnets that it believes to hold. */
  get held(): string[] {
    return [...this.#held.keys()];
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
      const subnet = subnets[Math.floor(Math.random() * subnets.length)] ?? {};
      const key = formatSubnet(subnet);
      try {
        await this.#write(key, subnet);
        this.writes += 1;
      } catch (error) {
        this.#held.delete(key);
        if (error instanceof LeaseExistsError) this.#adopt(key, error.holder);
        // Nobody but us writes with our address, so a conflict with ourselves is a write whose answer was lost.
        else if (error instanceof LeaseConflictError) this.#adopt(key, error.theirs);
        else if (error instanceof StoreUnavailableError) await sleep(50);
        else if (!(error instanceof LeaseLostError)) throw error;
      }
    }
  }

  async #write(key: string, subnet: Lease["subnet"]): Promise<void> {
    const lease = this.#held.get(key);
    if (lease === undefined) {
      this.#held.set(key, await this.#store.claim(subnet, this.#attributes, { ttlMs }));
    } else if (Math.random() < 0.7) {
      this.#held.set(key, await this.#store.renew(lease, { ttlMs }));
    } else {
      await this.#store.release(lease);
      this.#held.delete(key);
    }
  }

  #adopt(key: string, lease: Lease | undefined): void {
    if (lease !== undefined && sameOwner(lease.attributes, this.#attributes)) this.#held.set(key, lease);
  }
}
