import assert from "node:assert/strict";
import { attributesOf, type ConformanceCase, subnetAt, withStores } from "./context.ts";
import { describeLease, withWatch } from "./watched-leases.ts";

/** Watching. */
export const watchCases: readonly ConformanceCase[] = [
  {
    title: "watch() starts with a snapshot",
    requires: [],
    run: (context) =>
      withStores(context, async (store, other) => {
        const lease = await other.claim(subnetAt(1), attributesOf(1), context);
        await withWatch(store, {}, async (watched) => {
          const event = await watched.next();
          assert.equal(event.type, "snapshot");
          assert.deepEqual(watched.get(subnetAt(1)), lease);
        });
      }),
  },
  {
    title: "watch() starts with an empty snapshot when there are no leases",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        await withWatch(store, {}, async (watched) => {
          await watched.next();
          assert.deepEqual(watched.state, []);
        });
      }),
  },
  {
    title: "watch() tells of claims, renewals, other attributes and releases",
    requires: [],
    run: (context) =>
      withStores(context, async (store, other) => {
        const { ttlMs } = context;
        await withWatch(store, {}, async (watched) => {
          await watched.next();
          const lease = await other.claim(subnetAt(1), attributesOf(1), { ttlMs });
          await watched.until(() => watched.get(subnetAt(1))?.revision === lease.revision);
          const renewed = await other.renew(lease, { ttlMs });
          await watched.until(() => watched.get(subnetAt(1))?.revision === renewed.revision);
          const changed = await other.renew(renewed, { ttlMs, attributes: attributesOf(7) });
          await watched.until(() => watched.get(subnetAt(1))?.revision === changed.revision);
          assert.deepEqual(watched.get(subnetAt(1)), changed);
          await other.release(changed);
          await watched.until(() => watched.get(subnetAt(1)) === undefined);
        });
      }),
  },
  {
    title: "watch() names each event for what it is",
    requires: ["resume"],
    run: (context) =>
      withStores(context, async (store, other) => {
        await withWatch(store, {}, async (watched) => {
          await watched.next();
          const lease = await other.claim(subnetAt(1), attributesOf(1), context);
          assert.deepEqual(await watched.next(), { type: "added", lease, revision: lease.revision });
          const renewed = await other.renew(lease, context);
          assert.deepEqual(await watched.next(), {
            type: "updated",
            lease: renewed,
            revision: renewed.revision,
          });
          await other.release(renewed);
          const removed = await watched.next();
          assert(removed.type === "removed", `it is ${removed.type}, expected removed`);
          assert.deepEqual(removed.subnet, subnetAt(1));
        });
      }),
  },
  {
    title: "watch() tells of a lease that expires",
    requires: ["ttl"],
    run: (context) =>
      withStores(context, async (store, other) => {
        await other.claim(subnetAt(1), attributesOf(1), context);
        await withWatch(store, {}, async (watched) => {
          await watched.next();
          const gone = watched.until(() => watched.get(subnetAt(1)) === undefined);
          await context.elapse(2 * context.ttlMs);
          await gone;
        });
      }),
  },
  {
    title: "watch() tells of what others write and delete without asking",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        const { ttlMs } = context;
        await store.claim(subnetAt(1), attributesOf(1), { ttlMs });
        await withWatch(store, {}, async (watched) => {
          await watched.next();
          await context.put(subnetAt(1), attributesOf(2), ttlMs);
          await watched.until(() => watched.state[0]?.endsWith("192.0.2.2") === true);
          await context.remove(subnetAt(1));
          await watched.until(() => watched.state.length === 0);
        });
      }),
  },
  {
    title: "watch() goes on from the revision of a list without a gap",
    requires: [],
    run: (context) =>
      withStores(context, async (store, other) => {
        await other.claim(subnetAt(1), attributesOf(1), context);
        const { revision } = await store.list();
        const between = await other.claim(subnetAt(2), attributesOf(2), context);
        await withWatch(store, { since: revision }, async (watched) => {
          await watched.until(() => watched.get(subnetAt(2)) !== undefined);
          assert.deepEqual(watched.get(subnetAt(2)), between);
          await other.claim(subnetAt(3), attributesOf(3), context);
          await watched.until(() => watched.get(subnetAt(3)) !== undefined);
        });
      }),
  },
  {
    title: "watch() tells only what came after `since`, once and in order",
    requires: ["resume"],
    run: (context) =>
      withStores(context, async (store, other) => {
        const first = await other.claim(subnetAt(1), attributesOf(1), context);
        const { revision } = await store.list();
        const second = await other.claim(subnetAt(2), attributesOf(2), context);
        const third = await other.renew(first, context);
        await other.release(second);
        await withWatch(store, { since: revision }, async (watched) => {
          for (let count = 0; count < 3; count += 1) await watched.next();
          const fourth = await other.claim(subnetAt(4), attributesOf(4), context);
          await watched.next();
          assert.deepEqual(
            watched.events.map(({ type }) => type),
            ["added", "updated", "removed", "added"],
          );
          assert.deepEqual(watched.get(subnetAt(1)), third);
          assert.deepEqual(watched.get(subnetAt(4)), fourth);
        });
        // The revisions of a lease and of an event are places to go on from too.
        for (const since of [first.revision, second.revision]) {
          await withWatch(store, { since }, async (watched) => {
            await watched.until(() => watched.get(subnetAt(4)) !== undefined);
            assert(!watched.events.some(({ type }) => type === "snapshot"), "no snapshot is needed");
          });
        }
      }),
  },
  {
    title: "watch() starts with a snapshot when the store does not know the revision",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        const lease = await store.claim(subnetAt(1), attributesOf(1), context);
        await withWatch(store, { since: "4611686018427387904" }, async (watched) => {
          assert.equal((await watched.next()).type, "snapshot");
          assert.deepEqual(watched.get(subnetAt(1)), lease);
        });
      }),
  },
  {
    title: "watch() tells of one subnet only when it is given",
    requires: [],
    run: (context) =>
      withStores(context, async (store, other) => {
        const { ttlMs } = context;
        await other.claim(subnetAt(1), attributesOf(1), { ttlMs });
        await other.claim(subnetAt(2), attributesOf(2), { ttlMs });
        await withWatch(store, { subnet: subnetAt(1) }, async (watched) => {
          await watched.next();
          assert.deepEqual(watched.state.length, 1);
          await other.claim(subnetAt(3), attributesOf(3), { ttlMs });
          await context.put(subnetAt(1), attributesOf(9), ttlMs);
          await watched.until(() => watched.state[0]?.endsWith("192.0.2.9") === true);
          assert.equal(watched.get(subnetAt(2)), undefined);
          assert.equal(watched.get(subnetAt(3)), undefined);
        });
      }),
  },
  {
    title: "watch() ends in the state of the store when its reader falls far behind",
    requires: [],
    run: (context) =>
      withStores(context, async (store, other) => {
        const { ttlMs } = context;
        await withWatch(store, {}, async (watched) => {
          await watched.next();
          let lease = await other.claim(subnetAt(1), attributesOf(1), { ttlMs });
          for (let count = 0; count < 3_000; count += 1) lease = await other.renew(lease, { ttlMs });
          await other.release(lease);
          await other.claim(subnetAt(2), attributesOf(2), { ttlMs });
          await watched.until(() => watched.get(subnetAt(2)) !== undefined);
          assert.deepEqual(watched.state, (await store.list()).leases.map(describeLease));
        });
      }),
  },
];
