import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openEtcdLeaseStore } from "./index.ts";
import { type EtcdCluster, startEtcdCluster } from "./testing.ts";
import { allWell, BusyOverlay } from "./testing/busy-overlay.fixture.ts";
import { lacksEtcd } from "./testing/lacks-etcd.fixture.ts";

//   this namespace           etcd1         etcd2         etcd3
//   overlay hosts            10.99.0.1     10.99.0.2     10.99.0.3
//   bridge 10.99.0.254 ------ link1 ------- link2 ------- link3
describe.skipIf(lacksEtcd)("partitions (needs etcd)", () => {
  const timeout = 180_000;
  const numbers = [1, 2, 3];
  let cluster: EtcdCluster;
  let overlay: BusyOverlay;

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
    overlay = new BusyOverlay(cluster, () => openEtcdLeaseStore({ endpoints: cluster.endpoints }));
  });
  afterEach(async () => {
    await overlay.close();
    await cluster[Symbol.asyncDispose]();
  });

  /** Hosts write again as well. */
  async function settle(): Promise<unknown> {
    await Promise.all(cluster.members.map((member) => member.ready()));
    await overlay.progress();
    return overlay.settle();
  }

  test("every follower is right again when each member was cut off in turn", { timeout }, async () => {
    await overlay.progress();
    for (const number of numbers) {
      ip(`link set link${number} down`);
      await overlay.progress();
      ip(`link set link${number} up`);
    }
    await expect(settle()).resolves.toEqual(allWell);
  });

  test(
    "every follower is right again when each member lost sight of the others but not of the hosts",
    { timeout },
    async () => {
      await overlay.progress();
      for (const number of numbers) {
        const others = numbers.filter((other) => other !== number);
        for (const other of others) ip(`-n etcd${number} route add blackhole 10.99.0.${other}/32`);
        await overlay.progress();
        for (const other of others) ip(`-n etcd${number} route delete blackhole 10.99.0.${other}/32`);
      }
      await expect(settle()).resolves.toEqual(allWell);
    },
  );

  test(
    "every follower is right again when the hosts were cut off from all members",
    { timeout },
    async () => {
      await overlay.progress();
      ip("link set bridge down");
      // Longer than keepalive takes to find a dead connection.
      await sleep(10_000);
      ip("link set bridge up");
      await expect(settle()).resolves.toEqual(allWell);
    },
  );
});

function ip(words: string): void {
  execFileSync("ip", words.split(" "));
}
