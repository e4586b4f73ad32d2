import type { LeaseStore } from "@loden/lease";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { BusyHost } from "./busy-host.fixture.ts";
import { keptBy } from "./kept-by.fixture.ts";
import type { EtcdCluster } from "./start-etcd-cluster.ts";
import { WatchfulFollower } from "./watchful-follower.fixture.ts";

const patienceMs = 60_000;
const size = 3;

/** What went wrong although the fault is over; `allWell` when nothing did. */
export interface Outcome {
  /** Subnets that two hosts believe to hold. */
  readonly heldTwice: readonly string[];
  /** Revisions that a follower was told after later ones of the same subnet. */
  readonly fallen: readonly string[];
  /** Hosts that never wrote anything. */
  readonly idle: readonly number[];
  /** Followers that did not know in time what etcd holds, owners or revisions. */
  readonly wrong: readonly unknown[];
}

/** The outcome that every fault has to have. */
export const allWell: Outcome = { heldTwice: [], fallen: [], idle: [], wrong: [] };

/** Hosts that claim, renew and release the same few subnets without a rest, and others that follow them. */
export class BusyOverlay {
  readonly #cluster: EtcdCluster;
  readonly #flags: readonly string[];
  readonly #hosts: readonly BusyHost[];
  readonly #followers: readonly WatchfulFollower[];

  /**
   * Starts three hosts and three followers at once.
   *
   * @param cluster - where the leases are
   * @param open - opens the store of one of them, 0 to 2; hosts and followers have their own
   * @param flags - with which etcdctl may read the leases
   */
  constructor(cluster: EtcdCluster, open: (index: number) => LeaseStore, flags: readonly string[] = []) {
    this.#cluster = cluster;
    this.#flags = flags;
    this.#followers = Array.from({ length: size }, (_, index) => new WatchfulFollower(open(index)));
    this.#hosts = Array.from({ length: size }, (_, index) => new BusyHost(open(index), index + 1));
  }

  /** Waits until every host has written some more. */
  async progress(): Promise<void> {
    const before = this.#hosts.map(({ writes }) => writes);
    const isReached = (): boolean =>
      this.#hosts.every(({ writes }, index) => writes > (before[index] ?? 0) + 20);
    if (!(await comesTrue(isReached))) throw new Error(`Not every host could write within ${patienceMs} ms`);
  }

  /**
   * Ends the writes once every member serves, and waits until every follower knows what etcd holds: who has which subnet,
   * by the engine, and the revision of each, by the watch.
   *
   * @returns what went wrong
   */
  async settle(): Promise<Outcome> {
    await Promise.all(this.#cluster.members.map((member) => member.ready(patienceMs)));
    await Promise.all(this.#hosts.map((host) => host.stop()));
    const kept = await keptBy(this.#cluster, ...this.#flags);
    const wrong = (): unknown[] =>
      this.#followers
        .map(({ known, revisions }) => ({ owners: known, revisions }))
        .filter((known) => !isDeepStrictEqual(known, kept));
    await comesTrue(() => wrong().length === 0);
    const held = this.#hosts.flatMap((host) => host.held);
    return {
      heldTwice: held.filter((key, index) => held.indexOf(key) < index),
      fallen: this.#followers.flatMap(({ fallen }) => fallen),
      idle: this.#hosts.flatMap(({ writes }, index) => (writes === 0 ? [index] : [])),
      wrong: wrong().map((known) => ({ known, kept })),
    };
  }

  /** Ends it, whatever happens. */
  async close(): Promise<void> {
    await Promise.all([...this.#hosts, ...this.#followers].map((one) => one.close()));
  }
}

async function comesTrue(check: () => boolean): Promise<boolean> {
  const end = performance.now() + patienceMs;
  while (!check()) {
    if (performance.now() > end) return false;
    await sleep(20);
  }
  return true;
}
