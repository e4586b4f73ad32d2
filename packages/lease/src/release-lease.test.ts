import { parseAddress, parsePrefix } from "@loden/ip";
import { describe, expect, test } from "vitest";
import { releaseLease } from "./release-lease.ts";
import { createFakeLeaseStore } from "./testing/fake-lease-store.ts";

const subnet = { ipv4: parsePrefix("10.5.1.0/24") };
const ours = { publicIP: parseAddress("192.0.2.1"), backendType: "" };
const theirs = { publicIP: parseAddress("192.0.2.2"), backendType: "" };

describe("releaseLease()", () => {
  test("deletes the lease and changes nothing the second time", async () => {
    const store = createFakeLeaseStore();
    const lease = store.put(subnet, ours, 1_000);
    await releaseLease(store, lease);
    expect((await store.list()).leases).toEqual([]);
    await releaseLease(store, lease);
  });

  test("deletes the lease when it was renewed without our learning of it", async () => {
    const store = createFakeLeaseStore();
    const lease = store.put(subnet, ours, 1_000);
    store.put(subnet, ours, 1_000);
    await releaseLease(store, lease);
    expect((await store.list()).leases).toEqual([]);
  });

  test("rejects with ERR_LEASE_CONFLICT and deletes nothing when the subnet is another host's", async () => {
    const store = createFakeLeaseStore();
    const lease = store.put(subnet, ours, 1_000);
    const taken = store.put(subnet, theirs, 1_000);
    await expect(releaseLease(store, lease)).rejects.toMatchObject({
      code: "ERR_LEASE_CONFLICT",
      theirs: taken,
    });
    expect((await store.list()).leases).toEqual([taken]);
  });

  test("leaves a reservation", async () => {
    const store = createFakeLeaseStore();
    const reservation = store.put(subnet, ours);
    await releaseLease(store, reservation);
    expect((await store.list()).leases).toEqual([reservation]);
  });

  test("leaves a reservation that an operator made of our lease", async () => {
    const store = createFakeLeaseStore();
    const lease = store.put(subnet, ours, 1_000);
    const reservation = store.put(subnet, ours);
    await releaseLease(store, lease);
    expect((await store.list()).leases).toEqual([reservation]);
  });
});
