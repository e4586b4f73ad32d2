import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openEtcdLeaseStore } from "./index.ts";
import { type EtcdCluster, startEtcdCluster } from "./testing.ts";
import { allWell, BusyOverlay } from "./testing/busy-overlay.fixture.ts";
import { lacksEtcd } from "./testing/lacks-etcd.fixture.ts";

// Hosts claim, renew and release the same few subnets without a rest while members fail; others follow them.
// Afterwards they know what etcd knows, owners and revisions, and each lease's revisions rose.
describe.skipIf(lacksEtcd)("faults (needs etcd)", () => {
  const timeout = 180_000;
  let cluster: EtcdCluster;
  let overlay: BusyOverlay;

  beforeEach(async () => {
    cluster = await startEtcdCluster({ size: 3 });
    overlay = new BusyOverlay(cluster, () => openEtcdLeaseStore({ endpoints: cluster.endpoints }));
  });
  afterEach(async () => {
    await overlay.close();
    await cluster[Symbol.asyncDispose]();
  });

  test("every follower is right again when each member was killed in turn", { timeout }, async () => {
    await overlay.progress();
    for (const member of cluster.members) {
      await member.signal("SIGKILL");
      await overlay.progress();
      member.start();
      await member.ready();
    }
    await expect(overlay.settle()).resolves.toEqual(allWell);
  });

  test("every follower is right again when each member stood still in turn", { timeout }, async () => {
    await overlay.progress();
    for (const member of cluster.members) {
      await member.signal("SIGSTOP");
      await overlay.progress();
      await member.signal("SIGCONT");
      await member.ready();
    }
    await expect(overlay.settle()).resolves.toEqual(allWell);
  });

  test("every follower is right again when all members were restarted at once", { timeout }, async () => {
    await overlay.progress();
    await Promise.all(cluster.members.map((member) => member.signal("SIGKILL")));
    await sleep(2_000);
    for (const member of cluster.members) member.start();
    await overlay.progress();
    await expect(overlay.settle()).resolves.toEqual(allWell);
  });

  test("every follower is right again when the majority stood still", { timeout }, async () => {
    await overlay.progress();
    const [first, second] = cluster.members;
    await first?.signal("SIGSTOP");
    await second?.signal("SIGSTOP");
    await sleep(9_000);
    await first?.signal("SIGCONT");
    await second?.signal("SIGCONT");
    await overlay.progress();
    await expect(overlay.settle()).resolves.toEqual(allWell);
  });

  test(
    "every follower is right again when history was compacted while a member stood still",
    { timeout },
    async () => {
      await overlay.progress();
      await cluster.members[0]?.signal("SIGSTOP");
      await overlay.progress();
      const status = await cluster.ctl("get", "nothing", "--write-out=json");
      await cluster.ctl("compact", /"revision":(\d+)/.exec(status)?.[1] ?? "");
      await cluster.members[0]?.signal("SIGCONT");
      await overlay.progress();
      await expect(overlay.settle()).resolves.toEqual(allWell);
    },
  );
});
