import assert from "node:assert/strict";
import type { LeaseConflictError } from "../lease-errors.ts";
import { attributesOf, type ConformanceCase, subnetAt, withStores } from "./context.ts";

/** Renewing, expiring and releasing. */
export const renewCases: readonly ConformanceCase[] = [
  {
    title: "a lease expires when it is not renewed",
    requires: ["ttl"],
    run: (context) =>
      withStores(context, async (store) => {
        await store.claim(subnetAt(1), attributesOf(1), context);
        await context.elapse(2 * context.ttlMs);
        assert.deepEqual((await store.list()).leases, []);
      }),
  },
  {
    title: "renew() makes a lease last ttlMs from now",
    requires: ["ttl"],
    run: (context) =>
      withStores(context, async (store) => {
        const { ttlMs } = context;
        const lease = await store.claim(subnetAt(1), attributesOf(1), context);
        await context.elapse(0.6 * ttlMs);
        const renewed = await store.renew(lease, { ttlMs });
        assert((renewed.expiresAt ?? 0) > (lease.expiresAt ?? 0), "expiry is later");
        await context.elapse(0.6 * ttlMs);
        assert.deepEqual((await store.list()).leases, [renewed]);
      }),
  },
  {
    title: "renew() gives the lease a new revision",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        const lease = await store.claim(subnetAt(1), attributesOf(1), context);
        const renewed = await store.renew(lease, context);
        assert.notEqual(renewed.revision, lease.revision);
        assert.deepEqual(renewed.attributes, lease.attributes);
        assert.deepEqual((await store.list()).leases, [renewed]);
      }),
  },
  {
    title: "renew() publishes other attributes when they are given",
    requires: [],
    run: (context) =>
      withStores(context, async (store, other) => {
        const { ttlMs } = context;
        const lease = await store.claim(subnetAt(1), attributesOf(1), context);
        const renewed = await store.renew(lease, { ttlMs, attributes: attributesOf(7) });
        assert.deepEqual(renewed.attributes, attributesOf(7));
        assert.deepEqual((await other.list()).leases, [renewed]);
      }),
  },
  {
    title: "renew() rejects with ERR_LEASE_LOST when somebody deleted the lease",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        const lease = await store.claim(subnetAt(1), attributesOf(1), context);
        await context.remove(subnetAt(1));
        await assert.rejects(store.renew(lease, context), { code: "ERR_LEASE_LOST", lease });
        assert.deepEqual((await store.list()).leases, []);
      }),
  },
  {
    title: "renew() rejects with ERR_LEASE_LOST when the lease has expired",
    requires: ["ttl"],
    run: (context) =>
      withStores(context, async (store) => {
        const lease = await store.claim(subnetAt(1), attributesOf(1), context);
        await context.elapse(2 * context.ttlMs);
        await assert.rejects(store.renew(lease, context), { code: "ERR_LEASE_LOST" });
      }),
  },
  {
    title:
      "renew() rejects with ERR_LEASE_CONFLICT naming both parties when another host overwrote the lease",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        const { ttlMs } = context;
        const ours = await store.claim(subnetAt(1), attributesOf(1), { ttlMs });
        await context.put(subnetAt(1), attributesOf(2), ttlMs);
        await assert.rejects(store.renew(ours, { ttlMs }), (error: LeaseConflictError) => {
          assert.equal(error.code, "ERR_LEASE_CONFLICT");
          assert.deepEqual(error.ours, ours);
          assert.deepEqual(error.theirs?.attributes, attributesOf(2));
          assert.match(error.message, /192\.0\.2\.2.*192\.0\.2\.1/);
          return true;
        });
        assert.deepEqual((await store.list()).leases[0]?.attributes, attributesOf(2));
      }),
  },
  {
    title: "renew() rejects with ERR_LEASE_CONFLICT when the subnet was lost and claimed by another host",
    requires: [],
    run: (context) =>
      withStores(context, async (store, other) => {
        const lease = await store.claim(subnetAt(1), attributesOf(1), context);
        await context.remove(subnetAt(1));
        const theirs = await other.claim(subnetAt(1), attributesOf(2), context);
        await assert.rejects(store.renew(lease, context), { code: "ERR_LEASE_CONFLICT", theirs });
      }),
  },
  {
    title:
      "renew() rejects with ERR_LEASE_CONFLICT and the current state when the lease is an older one of ours",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        const lease = await store.claim(subnetAt(1), attributesOf(1), context);
        const theirs = await store.renew(lease, context);
        await assert.rejects(store.renew(lease, context), { code: "ERR_LEASE_CONFLICT", theirs });
        await store.renew(theirs, context);
      }),
  },
  {
    title: "renew() succeeds once when it is called many times at one time with one lease",
    requires: [],
    run: (context) =>
      withStores(context, async (store, other) => {
        const lease = await store.claim(subnetAt(1), attributesOf(1), context);
        const renewals = await Promise.allSettled(
          Array.from({ length: 10 }, (_, index) => (index % 2 === 0 ? store : other).renew(lease, context)),
        );
        assert.equal(renewals.filter(({ status }) => status === "fulfilled").length, 1);
      }),
  },
  {
    title: "renew() keeps a reservation a reservation",
    requires: ["reservations"],
    run: (context) =>
      withStores(context, async (store) => {
        const { ttlMs } = context;
        await context.put(subnetAt(1), attributesOf(1));
        const [reservation] = (await store.list()).leases;
        assert(reservation !== undefined, "the reservation is listed");
        const renewed = await store.renew(reservation, { ttlMs, attributes: attributesOf(7) });
        assert.equal(renewed.expiresAt, undefined);
        assert.deepEqual(renewed.attributes, attributesOf(7));
        await context.elapse(2 * ttlMs);
        assert.deepEqual((await store.list()).leases, [renewed]);
      }),
  },
  {
    title: "release() deletes the lease and may be repeated",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        const lease = await store.claim(subnetAt(1), attributesOf(1), context);
        await store.release(lease);
        assert.deepEqual((await store.list()).leases, []);
        await store.release(lease);
      }),
  },
  {
    title:
      "release() rejects with ERR_LEASE_CONFLICT and deletes nothing when another host overwrote the lease",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        const { ttlMs } = context;
        const lease = await store.claim(subnetAt(1), attributesOf(1), { ttlMs });
        await context.put(subnetAt(1), attributesOf(2), ttlMs);
        await assert.rejects(store.release(lease), { code: "ERR_LEASE_CONFLICT" });
        assert.deepEqual((await store.list()).leases[0]?.attributes, attributesOf(2));
      }),
  },
];
