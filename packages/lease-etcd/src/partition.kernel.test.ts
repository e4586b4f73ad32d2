import type { LeaseStore } from "@loden/lease";
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openEtcdLeaseStore } from "./index.ts";
import { type EtcdCluster, findEtcd, startEtcdCluster } from "./testing.ts";
import { BusyHost } from "./testing/busy-host.ts";
import { keptBy } from "./testing/kept-by.ts";
import { WatchfulFollower } from "./testing/watchful-follower.ts";

//   this namespace           etcd1         etcd2         etcd3
//   overlay hosts            10.99.0.1     10.99.0.2     10.99.0.3
//   bridge 10.99.0.254 ------ link1 ------- link2 ------- link3
describe.skipIf(findEtcd() === undefined && process.env["CI"] !== "true")("partitions (needs etcd)", () => {
  const timeout = 120_000;
  const numbers = [1, 2, 3];
  let cluster: EtcdCluster;
  let hosts: BusyHost[];
  let follower: WatchfulFollower;

  beforeAll(() => {
    ip("link add bridge type bridge");
    ip("address add 10.99.0.254/24 dev bridge");
    ip("link set bridge up");
    for (const number of numbers) {
      ip(`netns add etcd${number}`);
      ip(`link add link${number} type veth peer name eth0 netns etcd${number}`);
      ip(`link set link${number} master bridge up`);
      ip(`-n etcd${number} address add 10.99.0.${number}/24 dev eth0`);
      ip(`-n etcd${number} link set eth0 up`);
      ip(`-n etcd${number} link set lo up`);
    }
  });
  afterAll(() => {
    for (const number of numbers) {
      ip(`link delete link${number}`);
      ip(`netns delete etcd${number}`);
    }
    ip("link delete bridge");
  });
  beforeEach(async () => {
    cluster = await startEtcdCluster({
      hosts: numbers.map((number) => ({
        address: `10.99.0.${number}`,
        command: ["ip", "netns", "exec", `etcd${number}`],
      })),
    });
    const open = (): LeaseStore => openEtcdLeaseStore({ endpoints: cluster.endpoints });
    follower = new WatchfulFollower(open());
    hosts = numbers.map((number) => new BusyHost(open(), number));
  });
  afterEach(async () => {
    await Promise.all([...hosts, follower].map((one) => one.close()));
    await cluster[Symbol.asyncDispose]();
  });

  const right = { heldTwice: [], fallen: [] };

  async function settle(): Promise<unknown> {
    await Promise.all(cluster.members.map((member) => member.ready()));
    await progress();
    await Promise.all(hosts.map((host) => host.stop()));
    const kept = await keptBy(cluster);
    await expect.poll(() => follower.known, { timeout: 60_000 }).toEqual(kept);
    const held = hosts.flatMap((host) => host.held);
    return { heldTwice: held.filter((key, index) => held.indexOf(key) < index), fallen: follower.fallen };
  }

  async function progress(): Promise<void> {
    const before = hosts.map((host) => host.writes);
    await expect
      .poll(() => hosts.every((host, index) => host.writes > (before[index] ?? 0) + 20), { timeout: 60_000 })
      .toBe(true);
  }

  test("every follower is right again when each member was cut off in turn", { timeout }, async () => {
    await progress();
    for (const number of numbers) {
      ip(`link set link${number} down`);
      await progress();
      ip(`link set link${number} up`);
    }
    await expect(settle()).resolves.toEqual(right);
  });

  test(
    "every follower is right again when each member lost sight of the others but not of the hosts",
    { timeout },
    async () => {
      await progress();
      for (const number of numbers) {
        const others = numbers.filter((other) => other !== number);
        for (const other of others) ip(`-n etcd${number} route add blackhole 10.99.0.${other}/32`);
        await progress();
        for (const other of others) ip(`-n etcd${number} route delete blackhole 10.99.0.${other}/32`);
      }
      await expect(settle()).resolves.toEqual(right);
    },
  );

  test(
    "every follower is right again when the hosts were cut off from all members",
    { timeout },
    async () => {
      await progress();
      ip("link set bridge down");
      // Longer than keepalive takes to find a dead connection.
      await sleep(10_000);
      ip("link set bridge up");
      await expect(settle()).resolves.toEqual(right);
    },
  );
});

function ip(words: string): void {
  execFileSync("ip", words.split(" "));
}
