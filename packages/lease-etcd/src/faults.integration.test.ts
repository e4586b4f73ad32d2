import {
  followLeases,
  type Lease,
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
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openEtcdLeaseStore, StoreUnavailableError } from "./index.ts";
import { type EtcdCluster, findEtcd, startEtcdCluster } from "./testing.ts";

const ttlMs = 300_000;
const subnets = Array.from({ length: 12 }, (_, index) => parseSubnetKey(`10.5.${index}.0-24`) ?? {});

// Hosts claim, renew and release the same few subnets without a rest while members fail; another host follows them.
// Afterwards it knows what etcd knows, and each lease's revisions rose.
describe.skipIf(findEtcd() === undefined && process.env["CI"] !== "true")("faults (needs etcd)", () => {
  const timeout = 120_000;
  let cluster: EtcdCluster;
  let hosts: Host[];
  let follower: Follower;

  beforeEach(async () => {
    cluster = await startEtcdCluster({ size: 3 });
    const open = (): LeaseStore => openEtcdLeaseStore({ endpoints: cluster.endpoints });
    follower = new Follower(open());
    hosts = [1, 2, 3].map((number) => new Host(open(), number));
  });
  afterEach(async () => {
    await Promise.all([...hosts, follower].map((one) => one.close()));
    await cluster[Symbol.asyncDispose]();
  });

  const right = { heldTwice: [], fallen: [], idle: [] };

  /** Stops the hosts, and waits until the follower knows what etcd holds. Tells what else went wrong. */
  async function settle(): Promise<unknown> {
    await Promise.all(hosts.map((host) => host.stop()));
    await Promise.all(cluster.members.map((member) => member.ready()));
    const kept = await keptBy(cluster);
    await expect.poll(() => follower.known, { timeout: 60_000 }).toEqual(kept);
    const held = hosts.flatMap((host) => host.held);
    return {
      heldTwice: held.filter((key, index) => held.indexOf(key) < index),
      fallen: follower.fallen,
      idle: hosts.filter((host) => host.writes === 0),
    };
  }

  async function progress(): Promise<void> {
    const before = hosts.map((host) => host.writes);
    await expect
      .poll(() => hosts.every((host, index) => host.writes > (before[index] ?? 0) + 20), { timeout: 60_000 })
      .toBe(true);
  }

  test("every follower is right again when each member was killed in turn", { timeout }, async () => {
    await progress();
    for (const member of cluster.members) {
      await member.signal("SIGKILL");
      await progress();
      member.start();
      await member.ready();
    }
    await expect(settle()).resolves.toEqual(right);
  });

  test("every follower is right again when each member stood still in turn", { timeout }, async () => {
    await progress();
    for (const member of cluster.members) {
      await member.signal("SIGSTOP");
      await progress();
      await member.signal("SIGCONT");
      await member.ready();
    }
    await expect(settle()).resolves.toEqual(right);
  });

  test("every follower is right again when all members were restarted at once", { timeout }, async () => {
    await progress();
    await Promise.all(cluster.members.map((member) => member.signal("SIGKILL")));
    await sleep(2_000);
    for (const member of cluster.members) member.start();
    await progress();
    await expect(settle()).resolves.toEqual(right);
  });

  test("every follower is right again when the majority stood still", { timeout }, async () => {
    await progress();
    const [first, second] = cluster.members;
    await first?.signal("SIGSTOP");
    await second?.signal("SIGSTOP");
    await sleep(9_000);
    await first?.signal("SIGCONT");
    await second?.signal("SIGCONT");
    await progress();
    await expect(settle()).resolves.toEqual(right);
  });

  test(
    "every follower is right again when history was compacted while a member stood still",
    { timeout },
    async () => {
      await progress();
      await cluster.members[0]?.signal("SIGSTOP");
      await progress();
      const status = await cluster.ctl("get", "nothing", "--write-out=json");
      await cluster.ctl("compact", /"revision":(\d+)/.exec(status)?.[1] ?? "");
      await cluster.members[0]?.signal("SIGCONT");
      await progress();
      await expect(settle()).resolves.toEqual(right);
    },
  );
});

/** A host that holds some of the subnets, and takes and gives them as fast as it can. */
class Host {
  writes = 0;
  readonly #store: LeaseStore;
  readonly #attributes;
  readonly #held = new Map<string, Lease>();
  readonly #running: Promise<void>;
  #isStopped = false;

  constructor(store: LeaseStore, number: number) {
    this.#store = store;
    this.#attributes = parseLeaseValue(`{"PublicIP":"192.0.2.${number}"}`);
    this.#running = this.#run();
  }

  get held(): string[] {
    return [...this.#held.keys()];
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

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

/** Follows the leases, through the engine for its state and by itself for the order of events. */
class Follower {
  known: Record<string, string> = {};
  /** Revisions that did not rise. */
  readonly fallen: string[] = [];
  readonly #store: LeaseStore;
  readonly #following: Promise<unknown>;

  constructor(store: LeaseStore) {
    this.#store = store;
    this.#following = Promise.all([this.#follow(), this.#watch()]);
  }

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
          const leases =
            event.type === "snapshot" ? event.leases : event.type === "removed" ? [] : [event.lease];
          for (const { subnet, revision } of leases) {
            const key = formatSubnet(subnet);
            const last = told.get(key) ?? 0n;
            const isOld = event.type === "snapshot" ? BigInt(revision) < last : BigInt(revision) <= last;
            if (isOld) this.fallen.push(`${key}: ${revision} after ${last}`);
            told.set(key, BigInt(revision));
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

/** What etcd holds, as an independent client reads it. */
async function keptBy({ ctl }: EtcdCluster): Promise<Record<string, string>> {
  const lines = (await ctl("get", "/coreos.com/network/subnets/", "--prefix")).trim().split("\n");
  const kept: Record<string, string> = {};
  for (let index = 0; index + 1 < lines.length; index += 2) {
    const subnet = parseSubnetKey(lines[index] ?? "") ?? {};
    kept[formatSubnet(subnet)] = /"PublicIP":"([^"]+)"/.exec(lines[index + 1] ?? "")?.[1] ?? "";
  }
  return kept;
}
