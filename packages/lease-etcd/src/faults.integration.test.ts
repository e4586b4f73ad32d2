import type { LeaseStore } from "@loden/lease";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openEtcdLeaseStore } from "./index.ts";
import { type EtcdCluster, findEtcd, startEtcdCluster } from "./testing.ts";
import { BusyHost } from "./testing/busy-host.ts";
import { keptBy } from "./testing/kept-by.ts";
import { WatchfulFollower } from "./testing/watchful-follower.ts";

// Hosts claim, renew and release the same few subnets without a rest while members fail; another host follows them.
// Afterwards it knows what etcd knows, and each lease's revisions rose.
describe.skipIf(findEtcd() === undefined && process.env["CI"] !== "true")("faults (needs etcd)", () => {
  const timeout = 120_000;
  let cluster: EtcdCluster;
  let hosts: BusyHost[];
  let follower: WatchfulFollower;

  beforeEach(async () => {
    cluster = await startEtcdCluster({ size: 3 });
    const open = (): LeaseStore => openEtcdLeaseStore({ endpoints: cluster.endpoints });
    follower = new WatchfulFollower(open());
    hosts = [1, 2, 3].map((number) => new BusyHost(open(), number));
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
