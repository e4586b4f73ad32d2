import { parsePrefix } from "@loden/ip";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { defaultTtlMs } from "./acquire-lease.ts";
import { keepLease } from "./keep-lease.ts";
import { fail, host, type KeepScene, openKeepScene, subnet, typesOf } from "./keep-scene.fixture.ts";
import type { StoreOperation } from "./testing/intercept-store.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

let scene: KeepScene;
let clock: KeepScene["clock"];
let fake: KeepScene["fake"];
let store: KeepScene["store"];
let before: KeepScene["before"];
let after: KeepScene["after"];

beforeEach(async () => {
  scene = await openKeepScene();
  ({ clock, fake, store, before, after } = scene);
});

afterEach(() => scene.stop.abort());

describe("keepLease()", () => {
  test("renews an hour before expiry, again and again, by default", async () => {
    const { events } = scene.keep();
    await clock.advance(23 * hourMs - 1);
    expect(events).toEqual([]);
    await clock.advance(1);
    expect(typesOf(events)).toEqual(["renewed"]);
    const [renewed] = (await store.list()).leases;
    expect(renewed).toEqual(events[0]?.lease);
    expect(renewed?.expiresAt).toBe(clock.now() + defaultTtlMs);
    await clock.advance(46 * hourMs);
    expect(typesOf(events)).toEqual(["renewed", "renewed", "renewed"]);
  });

  test("renews by its own settings", async () => {
    scene.lease = fake.put(subnet, host(1), 9_000);
    const { events } = scene.keep({ ttlMs: 9_000 });
    await clock.advance(5_999);
    expect(events).toEqual([]);
    await clock.advance(1);
    expect(typesOf(events)).toEqual(["renewed"]);
  });

  test.each([0, -1, 10, 11, Number.NaN])(
    "throws a RangeError at once for a margin of %d of 10",
    (marginMs) => {
      expect(() => keepLease(store, scene.lease, { ttlMs: 10, marginMs })).toThrow(RangeError);
    },
  );

  test("tries again with growing delays while the store is out of reach, and never throws", async () => {
    before.set("renew", fail);
    const { events } = scene.keep();
    await clock.advance(23 * hourMs + 5 * minuteMs);
    const retries = events.filter((event) => event.type === "retrying");
    expect(retries.map(({ attempt }) => attempt)).toEqual(retries.map((_, index) => index + 1));
    expect(retries.slice(0, 7).map(({ delayMs }) => delayMs)).toEqual(
      [1, 2, 4, 8, 16, 30, 30].map((seconds) => seconds * 1_000),
    );
    before.delete("renew");
    await clock.advance(30_000);
    expect(events.at(-1)?.type).toBe("renewed");
    // The delays start over.
    before.set("renew", fail);
    await clock.advance(23 * hourMs);
    const lastRenewal = events.findLastIndex(({ type }) => type === "renewed");
    expect(events[lastRenewal + 1]).toMatchObject({ type: "retrying", attempt: 1 });
  });

  test("shortens each delay by up to half, at random", async () => {
    before.set("renew", fail);
    const { events } = scene.keep({ random: () => 0.5 });
    await clock.advance(23 * hourMs);
    expect(events).toEqual([expect.objectContaining({ type: "retrying", delayMs: 750 })]);
  });

  test("says once that the lease has expired, goes on trying, and takes it up again", async () => {
    before.set("renew", fail);
    const { events } = scene.keep();
    await clock.advance(24 * hourMs - 1);
    expect(typesOf(events)).not.toContain("expired");
    await clock.advance(1);
    expect(typesOf(events)).toContain("expired");
    await clock.advance(hourMs);
    expect(typesOf(events).filter((type) => type === "expired")).toEqual(["expired"]);
    before.delete("renew");
    await clock.advance(minuteMs);
    expect(events.at(-1)?.type).toBe("renewed");
  });

  test("says that the lease has expired when the store never answers", async () => {
    before.set("renew", () => new Promise<void>(() => {}));
    const { events } = scene.keep();
    await clock.advance(24 * hourMs);
    expect(typesOf(events)).toEqual(["expired"]);
  });

  test("measures time by elapsed(): a jump of the wall clock neither ends the lease early nor keeps it late", async () => {
    const { events } = scene.keep();
    await clock.advance(minuteMs);
    clock.jump(-48 * hourMs);
    await clock.advance(22 * hourMs);
    clock.jump(96 * hourMs);
    await clock.advance(hourMs - minuteMs - 1);
    expect(events).toEqual([]);
    await clock.advance(1);
    expect(typesOf(events)).toEqual(["renewed"]);
  });

  test("reports the loss at once when somebody deletes the lease, and ends (flannel: exits 0)", async () => {
    const { events, done } = scene.keep();
    await clock.advance(hourMs);
    fake.remove(subnet);
    await done;
    expect(events).toEqual([
      { type: "lost", lease: scene.lease, error: expect.objectContaining({ code: "ERR_LEASE_LOST" }) },
    ]);
  });

  test("reports the loss when the store has no lease from the beginning (flannel: never renews again)", async () => {
    fake.remove(subnet);
    const { events, done } = scene.keep();
    await done;
    expect(typesOf(events)).toEqual(["lost"]);
  });

  test("reports a conflict at once and leaves the other's lease alone (flannel: overwrites it)", async () => {
    const { events, done } = scene.keep();
    await clock.advance(hourMs);
    const theirs = fake.put(subnet, host(2), hourMs);
    await done;
    const error = expect.objectContaining({ code: "ERR_LEASE_CONFLICT", ours: scene.lease, theirs });
    expect(events).toEqual([{ type: "conflict", lease: scene.lease, error }]);
    expect((await store.list()).leases).toEqual([theirs]);
  });

  test("reports a conflict at the next renewal when the watch is down", async () => {
    before.set("watch", fail);
    const { events, done } = scene.keep();
    await clock.advance(hourMs);
    fake.put(subnet, host(2), hourMs);
    await clock.advance(22 * hourMs);
    await done;
    expect(typesOf(events)).toEqual(["conflict"]);
  });

  test("notices a conflict that came while the watch was down", async () => {
    before.set("watch", fail);
    const { events, done } = scene.keep();
    await clock.advance(hourMs);
    fake.put(subnet, host(2), hourMs);
    before.delete("watch");
    await clock.advance(5_000);
    await done;
    expect(typesOf(events)).toEqual(["conflict"]);
  });

  test("keeps the lease when the watch breaks", async () => {
    const { events } = scene.keep();
    await clock.advance(hourMs);
    fake.breakWatches(new Error("stream reset"));
    await clock.advance(22 * hourMs);
    expect(typesOf(events)).toEqual(["renewed"]);
  });

  test("takes a renewal for done when its answer was lost", async () => {
    after.set("renew", fail);
    const { events } = scene.keep();
    await clock.advance(23 * hourMs);
    after.delete("renew");
    await clock.advance(minuteMs);
    expect(typesOf(events)).not.toContain("conflict");
    const [current] = (await store.list()).leases;
    expect(current?.expiresAt).toBeGreaterThanOrEqual(clock.now() + 23 * hourMs);
    await clock.advance(23 * hourMs);
    expect(events.at(-1)?.type).toBe("renewed");
  });

  test("goes on publishing what it published when another program on this host overwrote it", async () => {
    const { events } = scene.keep();
    await clock.advance(hourMs);
    fake.put(subnet, { ...host(1), backendType: "vxlan" }, defaultTtlMs);
    await clock.advance(0);
    // No fight over it now.
    expect((await store.list()).leases[0]?.attributes.backendType).toBe("vxlan");
    await clock.advance(23 * hourMs);
    expect(typesOf(events)).toEqual(["renewed"]);
    expect((await store.list()).leases[0]?.attributes).toEqual(host(1));
  });

  test("never renews or converts a reservation, but reports its loss (flannel: converts it)", async () => {
    scene.lease = fake.put(subnet, host(1));
    const { events, done } = scene.keep();
    await clock.advance(100 * 24 * hourMs);
    expect(events).toEqual([]);
    expect((await store.list()).leases).toEqual([scene.lease]);
    fake.remove(subnet);
    await done;
    expect(typesOf(events)).toEqual(["lost"]);
  });

  test("stops renewing when an operator makes a reservation of the lease", async () => {
    const { events } = scene.keep();
    await clock.advance(hourMs);
    const reservation = fake.put(subnet, host(1));
    await clock.advance(100 * 24 * hourMs);
    expect(events).toEqual([]);
    expect((await store.list()).leases).toEqual([reservation]);
  });

  test("is not distracted by what happens to other subnets", async () => {
    const operations: StoreOperation[] = [];
    before.set("renew", () => void operations.push("renew"));
    const { events } = scene.keep();
    await clock.advance(hourMs);
    fake.put({ ipv4: parsePrefix("10.5.2.0/24") }, host(2), hourMs);
    await clock.advance(hourMs);
    expect(events).toEqual([]);
    expect(operations).toEqual([]);
  });

  test("checks again when a hint comes while a renewal is under way", async () => {
    const answer = Promise.withResolvers<void>();
    after.set("renew", () => answer.promise);
    const { events, done } = scene.keep();
    await clock.advance(23 * hourMs);
    after.delete("renew");
    // The renewal has happened, its answer is under way, and now somebody overwrites it.
    fake.put(subnet, host(2), hourMs);
    await clock.advance(0);
    answer.resolve();
    await done;
    expect(typesOf(events)).toEqual(["renewed", "conflict"]);
  });

  test("rejects with signal.reason when the signal aborts, and leaves the lease", async () => {
    const { done } = scene.keep();
    await clock.advance(hourMs);
    scene.stop.abort(new Error("enough"));
    await expect(done).rejects.toThrow("enough");
    expect((await store.list()).leases).toEqual([scene.lease]);
    expect(clock.sleepers).toBe(0);
  });

  test("ends quietly when the store closes", async () => {
    const { events, done } = scene.keep();
    await clock.advance(hourMs);
    await store.close();
    await done;
    expect(events).toEqual([]);
  });

  test("leaves nothing behind on break", async () => {
    scene.lease = fake.put(subnet, host(1), minuteMs);
    for await (const event of keepLease(store, scene.lease, { clock })) {
      expect(event.type).toBe("renewed");
      break;
    }
    await clock.advance(0);
    expect(clock.sleepers).toBe(0);
  });
});
