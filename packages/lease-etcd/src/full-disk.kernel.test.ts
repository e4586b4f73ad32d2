import { execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openEtcdLeaseStore } from "./index.ts";
import { type EtcdCluster, type EtcdProcess, startEtcdCluster } from "./testing.ts";
import { allWell, BusyOverlay } from "./testing/busy-overlay.fixture.ts";
import { lacksEtcd } from "./testing/lacks-etcd.fixture.ts";

// Each member on a tmpfs of its own, which is filled; a kernel test, as that takes a mount namespace of its own.
describe.skipIf(lacksEtcd)("full disks (needs etcd)", () => {
  const timeout = 180_000;
  // etcd takes twice 64 MB at once, and some for what it keeps.
  const megabytes = 160;
  let disks: string[];
  let cluster: EtcdCluster;
  let overlay: BusyOverlay;

  beforeEach(async () => {
    disks = Array.from({ length: 3 }, () => mkdtempSync(join(tmpdir(), "loden-disk-")));
    for (const disk of disks)
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "disk", disk]);
    cluster = await startEtcdCluster({ hosts: disks.map((folder) => ({ address: "127.0.0.1", folder })) });
    overlay = new BusyOverlay(cluster, () => openEtcdLeaseStore({ endpoints: cluster.endpoints }));
  });
  afterEach(async () => {
    await overlay.close();
    await cluster[Symbol.asyncDispose]();
    for (const disk of disks) {
      execFileSync("umount", [disk]);
      rmdirSync(disk);
    }
  });

  test(
    "every follower is right again when the disk of each member was full in turn",
    { timeout },
    async () => {
      await overlay.progress();
      for (const [index, member] of cluster.members.entries()) {
        fill(index);
        await expect.poll(() => member.hasEnded, { timeout: 60_000 }).toBe(true);
        await overlay.progress();
        rmSync(fillerOf(index));
        member.start();
        await member.ready();
      }
      await expect(overlay.settle()).resolves.toEqual(allWell);
    },
  );

  test(
    "every follower is right again when the disks of the majority were full and got larger",
    { timeout },
    async () => {
      await overlay.progress();
      const [first, second] = cluster.members;
      fill(0);
      fill(1);
      await expect
        .poll(() => first?.hasEnded === true || second?.hasEnded === true, { timeout: 60_000 })
        .toBe(true);
      for (const [index, member] of cluster.members.entries()) {
        execFileSync("mount", ["-o", `remount,size=${2 * megabytes}m`, disks[index] ?? ""]);
        await revive(member);
      }
      await overlay.progress();
      for (const member of cluster.members) await revive(member);
      await expect(overlay.settle()).resolves.toEqual(allWell);
    },
  );

  /** Starts a member again; one that still dies of a write from before its disk got larger, once more. */
  async function revive(member: EtcdProcess): Promise<void> {
    if (member.hasEnded) member.start();
    const serves = await Promise.race([
      member.ready(timeout).then(
        () => true,
        () => false,
      ),
      // A majority may be missing yet: then the others come first.
      setTimeout(5_000, true),
    ]);
    if (!serves) await revive(member);
  }

  function fillerOf(index: number): string {
    return join(disks[index] ?? "", "filler");
  }

  /** Leaves no room, however much is free. */
  function fill(index: number): void {
    expect(() => writeFileSync(fillerOf(index), Buffer.alloc(megabytes * 2 ** 20))).toThrow("ENOSPC");
  }
});
