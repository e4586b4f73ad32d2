import assert from "node:assert/strict";
import { parsePrefix } from "@loden/ip";
import type { LeaseExistsError } from "../lease-errors.ts";
import { attributesOf, type ConformanceCase, subnetAt, withStores } from "./context.ts";

/** Claiming a subnet. */
export const claimCases: readonly ConformanceCase[] = [
  {
    title: "claim() returns the lease with what was claimed and published",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        const lease = await store.claim(subnetAt(1), attributesOf(1), context);
        assert.deepEqual(lease.subnet, subnetAt(1));
        assert.deepEqual(lease.attributes, attributesOf(1));
        assert.notEqual(lease.revision, "");
        assert.equal(typeof lease.expiresAt, "number");
      }),
  },
  {
    title: "claim() rejects with ERR_LEASE_EXISTS and names the holder when the subnet is taken",
    requires: [],
    run: (context) =>
      withStores(context, async (store, other) => {
        const holder = await other.claim(subnetAt(1), attributesOf(2), context);
        await assert.rejects(
          store.claim(subnetAt(1), attributesOf(1), context),
          (error: LeaseExistsError) => {
            assert.equal(error.code, "ERR_LEASE_EXISTS");
            assert.deepEqual(error.subnet, subnetAt(1));
            assert.deepEqual(error.holder, holder);
            assert.match(error.message, /192\.0\.2\.2/);
            return true;
          },
        );
        assert.deepEqual((await store.list()).leases, [holder]);
      }),
  },
  {
    title: "claim() rejects with ERR_LEASE_EXISTS when the host claims its own subnet twice",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        await store.claim(subnetAt(1), attributesOf(1), context);
        await assert.rejects(store.claim(subnetAt(1), attributesOf(1), context), {
          code: "ERR_LEASE_EXISTS",
        });
      }),
  },
  ...[
    {
      how: "the IPv4 part is taken together with another IPv6 part",
      ipv4: "10.5.1.0/24",
      ipv6: "fd00:5:0:2::/64",
    },
    {
      how: "the IPv6 part is taken together with another IPv4 part",
      ipv4: "10.5.2.0/24",
      ipv6: "fd00:5:0:1::/64",
    },
    { how: "it lies inside a wider lease", ipv4: "10.5.1.128/25", ipv6: "fd00:5:0:8::/64" },
    { how: "it holds a narrower lease", ipv4: "10.5.0.0/22", ipv6: "fd00:5:0:8::/64" },
    { how: "its IPv6 part lies inside a wider lease", ipv4: "10.5.8.0/24", ipv6: "fd00:5:0:1:8000::/65" },
    { how: "its IPv6 part holds a narrower lease", ipv4: "10.5.8.0/24", ipv6: "fd00:5::/56" },
  ].map(({ how, ipv4, ipv6 }): ConformanceCase => ({
    title: `claim() rejects with ERR_LEASE_EXISTS when ${how}`,
    requires: [],
    run: (context) =>
      withStores(context, async (store, other) => {
        const holder = await other.claim(subnetAt(1), attributesOf(2), context);
        const subnet = { ipv4: parsePrefix(ipv4), ipv6: parsePrefix(ipv6) };
        await assert.rejects(store.claim(subnet, attributesOf(1), context), { code: "ERR_LEASE_EXISTS" });
        assert.deepEqual((await store.list()).leases, [holder]);
      }),
  })),
  {
    title: "claim() succeeds once when many hosts claim one subnet at one time",
    requires: [],
    run: async (context) => {
      const stores = await Promise.all(Array.from({ length: 20 }, () => context.open()));
      try {
        const claims = await Promise.allSettled(
          stores.map((store, index) => store.claim(subnetAt(1), attributesOf(index + 1), context)),
        );
        const won = claims.filter((claim) => claim.status === "fulfilled");
        const codes = claims.flatMap((claim) => (claim.status === "rejected" ? [codeOf(claim.reason)] : []));
        assert.deepEqual(new Set(codes), new Set(["ERR_LEASE_EXISTS"]));
        assert.equal(won.length, 1);
        const [store] = stores;
        assert.deepEqual((await store?.list())?.leases, [won[0]?.value]);
      } finally {
        await Promise.all(stores.map((store) => store.close()));
      }
    },
  },
  {
    title: "claim() succeeds once when many hosts claim subnets that overlap in one family at one time",
    requires: [],
    run: async (context) => {
      const stores = await Promise.all(Array.from({ length: 20 }, () => context.open()));
      try {
        const claims = await Promise.allSettled(
          stores.map((store, index) => {
            const subnet = { ipv4: subnetAt(1).ipv4, ipv6: subnetAt(index + 1).ipv6 };
            return store.claim(subnet, attributesOf(index + 1), context);
          }),
        );
        assert.equal(claims.filter((claim) => claim.status === "fulfilled").length, 1);
        assert.equal((await stores[0]?.list())?.leases.length, 1);
      } finally {
        await Promise.all(stores.map((store) => store.close()));
      }
    },
  },
  {
    title: "claim() succeeds when the subnet was released",
    requires: [],
    run: (context) =>
      withStores(context, async (store, other) => {
        const lease = await other.claim(subnetAt(1), attributesOf(2), context);
        await other.release(lease);
        await store.claim(subnetAt(1), attributesOf(1), context);
      }),
  },
  {
    title: "claim() succeeds when the lease on the subnet has expired",
    requires: ["ttl"],
    run: (context) =>
      withStores(context, async (store, other) => {
        await other.claim(subnetAt(1), attributesOf(2), context);
        await context.elapse(2 * context.ttlMs);
        await store.claim(subnetAt(1), attributesOf(1), context);
      }),
  },
  {
    title: "claim() rejects with ERR_LEASE_EXISTS when the subnet is reserved",
    requires: ["reservations"],
    run: (context) =>
      withStores(context, async (store) => {
        await context.put(subnetAt(1), attributesOf(2));
        await context.elapse(2 * context.ttlMs);
        await assert.rejects(store.claim(subnetAt(1), attributesOf(1), context), {
          code: "ERR_LEASE_EXISTS",
        });
        assert.equal((await store.list()).leases[0]?.expiresAt, undefined);
      }),
  },
];

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown }).code;
}
