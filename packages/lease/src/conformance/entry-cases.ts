import assert from "node:assert/strict";
import { attributesOf, type ConformanceCase, subnetAt, withStores } from "./context.ts";
import { describeLease, withWatch } from "./watched-leases.ts";

/** Entries that others wrote and that cannot be read. A flannel host loses all its peers over one of them. */
export const entryCases: readonly ConformanceCase[] = [
  ...[
    { what: "a key that names no subnet", key: "10.5.9-24", value: '{"PublicIP":"192.0.2.9"}' },
    { what: "a key with an octet out of range", key: "10.5.300.0-24", value: '{"PublicIP":"192.0.2.9"}' },
    { what: "a key with a length out of range", key: "10.5.9.1-32", value: '{"PublicIP":"192.0.2.9"}' },
    { what: "a key that is somebody's lock", key: "lock", value: "" },
    { what: "a value that is no JSON", key: "10.5.9.0-24", value: "{" },
    { what: "a value that is empty", key: "10.5.9.0-24", value: "" },
    { what: "a value that is no object", key: "10.5.9.0-24", value: '["192.0.2.9"]' },
    { what: "a value with a bad address", key: "10.5.9.0-24", value: '{"PublicIP":"192.0.2"}' },
    {
      what: "a value with an empty PublicIPv6",
      key: "10.5.9.0-24",
      value: '{"PublicIP":"192.0.2.9","PublicIPv6":""}',
    },
    {
      what: "a value with a BackendType that is a number",
      key: "10.5.9.0-24",
      value: '{"PublicIP":"192.0.2.9","BackendType":1}',
    },
  ].map(({ what, key, value }): ConformanceCase => ({
    title: `list() and watch() leave out ${what} and nothing else`,
    requires: ["flannelText"],
    run: (context) =>
      withStores(context, async (store, other) => {
        await other.claim(subnetAt(1), attributesOf(1), context);
        await withWatch(store, {}, async (watched) => {
          await watched.next();
          await context.putText(key, value);
          await other.claim(subnetAt(2), attributesOf(2), context);
          await watched.until(() => watched.get(subnetAt(2)) !== undefined);
          assert.equal(watched.state.length, 2);
          assert.deepEqual((await store.list()).leases.map(describeLease).toSorted(), watched.state);
        });
        await withWatch(store, {}, async (watched) => {
          await watched.next();
          assert.equal(watched.state.length, 2);
        });
      }),
  })),
  {
    title:
      "claim() rejects with ERR_LEASE_EXISTS without a holder when an entry that cannot be read takes the subnet",
    requires: ["flannelText"],
    run: (context) =>
      withStores(context, async (store) => {
        await context.putText("10.5.1.0-24&fd00:5:0:1::-64", "{");
        await assert.rejects(store.claim(subnetAt(1), attributesOf(1), context), {
          code: "ERR_LEASE_EXISTS",
          holder: undefined,
        });
      }),
  },
  {
    title:
      "renew() and release() reject with ERR_LEASE_CONFLICT when the lease was overwritten with something unreadable",
    requires: ["flannelText"],
    run: (context) =>
      withStores(context, async (store) => {
        const lease = await store.claim(subnetAt(1), attributesOf(1), context);
        await context.putText("10.5.1.0-24&fd00:5:0:1::-64", "{");
        const conflict = { code: "ERR_LEASE_CONFLICT", ours: lease, theirs: undefined };
        await assert.rejects(store.renew(lease, context), conflict);
        await assert.rejects(store.release(lease), conflict);
      }),
  },
  {
    title: "list() reads what other programs wrote: members in any case and order, unknown ones ignored",
    requires: ["flannelText", "reservations"],
    run: (context) =>
      withStores(context, async (store) => {
        const value = ' {"backenddata": "text", "New": {"a": [1]}, "PUBLICIP": "192.0.2.9" } ';
        await context.putText("10.5.9.0-24", value);
        const [lease] = (await store.list()).leases;
        assert.equal(lease && describeLease(lease), "10.5.9.0/24 192.0.2.9");
        assert.equal(lease?.attributes.backendData, "text");
        assert.equal(lease?.expiresAt, undefined);
      }),
  },
];
