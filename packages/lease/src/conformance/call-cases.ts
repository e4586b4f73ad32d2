import assert from "node:assert/strict";
import type { LeaseStore } from "../lease-store.ts";
import { attributesOf, type ConformanceCase, conformanceConfig, subnetAt, withStores } from "./context.ts";
import { describeLease, withWatch } from "./watched-leases.ts";

/** What holds for every call: reading, closing, aborting. */
export const callCases: readonly ConformanceCase[] = [
  {
    title: "getNetwork() reads the network configuration",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        const network = await store.getNetwork();
        const { Network, IPv6Network } = JSON.parse(conformanceConfig) as Record<string, string>;
        assert.equal(network.ipv4?.network.toString(), Network);
        assert.equal(network.ipv6?.network.toString(), IPv6Network);
      }),
  },
  {
    title: "list() is empty when nobody claimed anything",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        assert.deepEqual((await store.list()).leases, []);
      }),
  },
  {
    title: "list() shows what every host claimed, with what it published",
    requires: [],
    run: (context) =>
      withStores(context, async (store, other) => {
        const { ttlMs } = context;
        const first = await store.claim(subnetAt(1), attributesOf(1), { ttlMs });
        const second = await other.claim(subnetAt(2), attributesOf(2), { ttlMs });
        for (const { leases } of [await store.list(), await other.list()]) {
          const sorted = leases.toSorted((a, b) => describeLease(a).localeCompare(describeLease(b)));
          assert.deepEqual(sorted, [first, second]);
        }
      }),
  },
  {
    title: "close() makes every later call reject with ERR_STORE_CLOSED and may be repeated",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        const lease = await store.claim(subnetAt(1), attributesOf(1), context);
        await store.close();
        await store.close();
        await store[Symbol.asyncDispose]();
        for (const call of callsOf(store, lease, undefined)) {
          await assert.rejects(call, { code: "ERR_STORE_CLOSED" });
        }
      }),
  },
  {
    title: "close() leaves the leases",
    requires: [],
    run: (context) =>
      withStores(context, async (store, other) => {
        const lease = await store.claim(subnetAt(1), attributesOf(1), context);
        await store.close();
        assert.deepEqual((await other.list()).leases, [lease]);
      }),
  },
  {
    title: "close() ends a watch quietly",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        const iterator = store.watch()[Symbol.asyncIterator]();
        await iterator.next();
        const pending = iterator.next();
        await store.close();
        assert.equal((await pending).done, true);
      }),
  },
  {
    title: "every call rejects with signal.reason when the signal is aborted already",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        const lease = await store.claim(subnetAt(1), attributesOf(1), context);
        const reason = new Error("enough");
        for (const call of callsOf(store, lease, AbortSignal.abort(reason))) {
          await assert.rejects(call, (error) => error === reason);
        }
        assert.deepEqual((await store.list()).leases, [lease]);
      }),
  },
  {
    title: "watch() rejects with signal.reason when the signal aborts",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        const stop = new AbortController();
        const iterator = store.watch({ signal: stop.signal })[Symbol.asyncIterator]();
        await iterator.next();
        const pending = iterator.next();
        const reason = new Error("enough");
        stop.abort(reason);
        await assert.rejects(pending, (error) => error === reason);
      }),
  },
  {
    title: "watch() ends without harm to other watches when it is left by break",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        await withWatch(store, {}, async (watched) => {
          await watched.next();
          for await (const event of store.watch()) {
            assert.equal(event.type, "snapshot");
            break;
          }
          await store.claim(subnetAt(1), attributesOf(1), context);
          await watched.until(() => watched.get(subnetAt(1)) !== undefined);
        });
      }),
  },
];

function callsOf(
  store: LeaseStore,
  lease: Awaited<ReturnType<LeaseStore["claim"]>>,
  signal: AbortSignal | undefined,
): (() => Promise<unknown>)[] {
  const options = { ttlMs: 60_000, signal };
  return [
    () => store.getNetwork(options),
    () => store.list(options),
    () => store.claim(subnetAt(9), attributesOf(9), options),
    () => store.renew(lease, options),
    () => store.release(lease, options),
    () => store.watch(options)[Symbol.asyncIterator]().next(),
  ];
}
