import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fail, host, type KeepScene, openKeepScene, subnet, typesOf } from "./keep-scene.fixture.ts";
import type { StoreOperation } from "./testing/intercept-store.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

let scene: KeepScene;
let clock: KeepScene["clock"];
let fake: KeepScene["fake"];
let before: KeepScene["before"];
let after: KeepScene["after"];

beforeEach(async () => {
  scene = await openKeepScene();
  ({ clock, fake, before, after } = scene);
});

afterEach(() => scene.stop.abort());

describe("keepLease() in doubt", () => {
  test("renews again when a lost answer leaves open how long the lease lasts, and says so once", async () => {
    before.set("watch", fail);
    const { events } = scene.keep();
    await clock.advance(22 * hourMs);
    after.set("renew", fail);
    await clock.advance(hourMs);
    after.delete("renew");
    const renewals = countOperations("renew");
    await clock.advance(minuteMs);
    expect(typesOf(events)).toEqual(["retrying", "renewed"]);
    expect(renewals.count).toBe(2);
  });

  test("says that it is renewed after a lost answer and an expiry, though the watch tells first", async () => {
    const { events } = scene.keep();
    before.set("renew", fail);
    await clock.advance(24 * hourMs);
    before.delete("renew");
    after.set("renew", fail);
    await clock.advance(minuteMs);
    expect(typesOf(events).slice(-2)).toContain("retrying");
    after.delete("renew");
    await clock.advance(minuteMs);
    expect(events.at(-1)?.type).toBe("renewed");
  });

  test("says each time that the lease has expired", async () => {
    const { events } = scene.keep();
    for (let outage = 0; outage < 3; outage += 1) {
      before.set("renew", fail);
      await clock.advance(25 * hourMs);
      before.delete("renew");
      await clock.advance(minuteMs);
    }
    const told = typesOf(events).filter((type) => type !== "retrying");
    expect(told).toEqual(["expired", "renewed", "expired", "renewed", "expired", "renewed"]);
  });

  test("ends its time by validUntil, whatever the wall clocks of this host and the store say", async () => {
    before.set("renew", fail);
    clock.jump(-48 * hourMs);
    const { events } = scene.keep({ validUntil: clock.elapsed() + 2 * hourMs });
    await clock.advance(2 * hourMs - 1);
    expect(typesOf(events)).not.toContain("expired");
    await clock.advance(1);
    expect(typesOf(events)).toContain("expired");
  });

  test("does not call a lease renewed whose answer took longer than it lasts", async () => {
    const answer = Promise.withResolvers<void>();
    after.set("renew", () => answer.promise);
    const { events } = scene.keep();
    await clock.advance(48 * hourMs);
    after.set("renew", fail);
    answer.resolve();
    await clock.advance(minuteMs);
    expect(typesOf(events)).not.toContain("renewed");
    after.delete("renew");
    await clock.advance(minuteMs);
    expect(events.at(-1)?.type).toBe("renewed");
  });

  test("is not misled by a slow watch that tells of its own older renewals", async () => {
    const delivery = Promise.withResolvers<void>();
    before.set("event", () => delivery.promise);
    const { events } = scene.keep();
    await clock.advance(46 * hourMs);
    clock.jump(1_000 * hourMs);
    before.delete("event");
    delivery.resolve();
    await clock.advance(hourMs);
    expect(new Set(typesOf(events))).toEqual(new Set(["renewed"]));
  });

  test.each([
    { ttl: 2 * hourMs, renewalAt: 2 * hourMs },
    { ttl: 100 * hourMs, renewalAt: 23 * hourMs },
  ])(
    "shortens, but does not lengthen, its time when another program on this host writes: $ttl ms",
    async ({ ttl, renewalAt }) => {
      const { events } = scene.keep();
      await clock.advance(hourMs);
      fake.put(subnet, { ...host(1), backendType: "vxlan" }, ttl);
      await clock.advance(renewalAt - hourMs - 1);
      expect(events).toEqual([]);
      await clock.advance(1);
      expect(typesOf(events)).not.toEqual([]);
    },
  );

  test("yields to another owner whom the watch told of, though the store is out of reach for a renewal", async () => {
    const { events, done } = scene.keep();
    await clock.advance(hourMs);
    before.set("renew", fail);
    const theirs = fake.put(subnet, host(2), hourMs);
    await done;
    const error = expect.objectContaining({ code: "ERR_LEASE_CONFLICT", ours: scene.lease, theirs });
    expect(events).toEqual([{ type: "conflict", lease: scene.lease, error }]);
  });

  test("reports a loss that the watch told of, though the store is out of reach for a renewal", async () => {
    const { events, done } = scene.keep();
    await clock.advance(hourMs);
    before.set("renew", fail);
    fake.remove(subnet);
    await done;
    expect(typesOf(events)).toEqual(["lost"]);
  });
});

function countOperations(operation: StoreOperation): { readonly count: number } {
  const counter = { count: 0 };
  before.set(operation, () => {
    counter.count += 1;
  });
  return counter;
}
