import { parseAddress, parsePrefix } from "@loden/ip";
import { formatSubnet, type Subnet } from "@loden/subnet";
import { describe, expect, test } from "vitest";
import { acquireLease, type AcquireLeaseOptions, defaultTtlMs } from "./acquire-lease.ts";
import type { LeaseAttributes } from "./lease.ts";
import type { LeaseStore } from "./lease-store.ts";
import { createFakeLeaseStore } from "./testing/fake-lease-store.ts";
import { interceptStore, type StoreOperation } from "./testing/intercept-store.ts";
import { ManualClock } from "./testing/manual-clock.ts";

const dualStack = '{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48"}';
const ipv6Only = '{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:5::/48"}';
// Four subnets, of which 10.5.1.0, 10.5.2.0 and 10.5.3.0 can be had.
const small = '{"Network":"10.5.0.0/22","SubnetLen":24}';

describe("acquireLease()", () => {
  test("claims a free subnet and returns it with the network", async () => {
    const clock = new ManualClock();
    const store = createFakeLeaseStore({ clock });
    const { lease, network } = await acquire(store, 1, { clock, strategy: "sequential" });
    expect(formatSubnet(lease.subnet)).toBe("10.5.1.0/24");
    expect(lease.attributes).toEqual(host(1));
    expect(lease.expiresAt).toBe(clock.now() + defaultTtlMs);
    expect(network.ipv4?.subnetLength).toBe(24);
    expect((await store.list()).leases).toEqual([lease]);
  });

  test("counts validUntil by elapsed() from when it asked, and gives Infinity for a reservation", async () => {
    const clock = new ManualClock();
    const store = createFakeLeaseStore({ clock });
    const slow = interceptStore(store, {
      before: () => clock.sleep(1_000),
      after(operation) {
        clock.jump(-1_000_000);
        return operation === "claim" || operation === "renew" ? clock.sleep(30_000) : undefined;
      },
    });
    const acquire1 = (): ReturnType<typeof acquire> =>
      clock.runUntil(acquire(slow, 1, { clock, ttlMs: 60_000, strategy: "sequential" }));
    // The claim is asked for after two calls of a second each.
    expect((await acquire1()).validUntil).toBe(62_000);
    const again = clock.elapsed();
    expect((await acquire1()).validUntil).toBe(again + 62_000);
    store.put(subnet("10.5.1.0/24"), host(1));
    expect((await acquire1()).validUntil).toBe(Infinity);
  });

  test("claims both families in a dual-stack network (flannel: IPv4-only key crashes the allocator)", async () => {
    const store = createFakeLeaseStore({ config: dualStack });
    store.put(subnet("10.5.1.0/24"), host(9), 1_000);
    const { lease } = await acquire(store, 1, { strategy: "sequential" });
    expect(formatSubnet(lease.subnet)).toBe("10.5.2.0/24 fd00:5:0:1::/64");
  });

  test("takes over the lease that has our public address, with what we publish now", async () => {
    const store = createFakeLeaseStore();
    const before = store.put(subnet("10.5.7.0/24"), { ...host(1), backendType: "host-gw" }, 1_000);
    const { lease } = await acquire(store, 1, {});
    expect(lease.subnet).toEqual(before.subnet);
    expect(lease.attributes).toEqual(host(1));
    expect((await store.list()).leases).toEqual([lease]);
  });

  test("gives two IPv6-only hosts two leases (flannel: the second takes the first one's)", async () => {
    const store = createFakeLeaseStore({ config: ipv6Only });
    const hosts = ["2001:db8::1", "2001:db8::2"].map((address) => ({
      publicIPv6: parseAddress(address),
      backendType: "x",
    }));
    const subnets: string[] = [];
    for (const attributes of [...hosts, ...hosts]) {
      const { lease } = await acquireLease(store, { attributes, strategy: "sequential" });
      subnets.push(formatSubnet(lease.subnet));
    }
    expect(subnets).toEqual(["fd00:5:0:1::/64", "fd00:5:0:2::/64", "fd00:5:0:1::/64", "fd00:5:0:2::/64"]);
  });

  test.each([
    ["lies outside of the network", "10.6.1.0/24"],
    ["has another length", "10.5.1.0/25"],
    ["is the first subnet, which is left out", "10.5.0.0/24"],
  ])("releases our lease and claims another subnet when it %s", async (_, prefix) => {
    const store = createFakeLeaseStore();
    store.put(subnet(prefix), host(1), 1_000);
    const { lease } = await acquire(store, 1, { strategy: "sequential" });
    expect(formatSubnet(lease.subnet)).toBe("10.5.1.0/24");
    expect((await store.list()).leases).toEqual([lease]);
  });

  test("releases our lease when it lacks a family of the network", async () => {
    const store = createFakeLeaseStore({ config: dualStack });
    store.put(subnet("10.5.7.0/24"), host(1), 1_000);
    const { lease } = await acquire(store, 1, { strategy: "sequential" });
    expect(formatSubnet(lease.subnet)).toBe("10.5.1.0/24 fd00:5:0:1::/64");
    expect((await store.list()).leases).toEqual([lease]);
  });

  test("takes the previous subnet when it is free and fits", async () => {
    const store = createFakeLeaseStore();
    const { lease } = await acquire(store, 1, { previous: subnet("10.5.77.0/24") });
    expect(formatSubnet(lease.subnet)).toBe("10.5.77.0/24");
  });

  test.each([
    ["somebody has it", "10.5.77.0/24", "10.5.77.0/24"],
    ["it lies inside somebody's wider lease", "10.5.77.0/24", "10.5.76.0/22"],
    ["it has another length", "10.5.77.0/25", "10.5.9.0/24"],
    ["it lies outside of the network", "10.6.77.0/24", "10.5.9.0/24"],
  ])("does not take the previous subnet when %s", async (_, previous, taken) => {
    const store = createFakeLeaseStore();
    store.put(subnet(taken), host(9), 1_000);
    const { lease } = await acquire(store, 1, { previous: subnet(previous), strategy: "sequential" });
    expect(formatSubnet(lease.subnet)).toBe("10.5.1.0/24");
  });

  test("prefers a reservation for us to any lease, and leaves it a reservation (flannel: converts it)", async () => {
    const store = createFakeLeaseStore();
    store.put(subnet("10.5.3.0/24"), host(1), 1_000);
    store.put(subnet("10.5.9.0/24"), { publicIP: host(1).publicIP, backendType: "" });
    const { lease } = await acquire(store, 1, { previous: subnet("10.5.3.0/24") });
    expect(formatSubnet(lease.subnet)).toBe("10.5.9.0/24");
    expect(lease.expiresAt).toBeUndefined();
    expect(lease.attributes).toEqual(host(1));
  });

  test("leaves a reservation for us alone when it does not fit the network any more", async () => {
    const store = createFakeLeaseStore();
    const reservation = store.put(subnet("10.5.1.0/25"), host(1));
    const { lease } = await acquire(store, 1, { strategy: "sequential" });
    expect(formatSubnet(lease.subnet)).toBe("10.5.2.0/24");
    expect((await store.list()).leases).toEqual([reservation, lease]);
  });

  test("never takes what is reserved for others", async () => {
    const store = createFakeLeaseStore({ config: small });
    store.put(subnet("10.5.1.0/24"), host(8));
    store.put(subnet("10.5.2.128/25"), host(9));
    const { lease } = await acquire(store, 1, { previous: subnet("10.5.1.0/24") });
    expect(formatSubnet(lease.subnet)).toBe("10.5.3.0/24");
    await expect(acquire(store, 2, {})).rejects.toMatchObject({ code: "ERR_SUBNET_EXHAUSTED" });
  });

  test("chooses again, from the list in hand and then from a fresh one, when it loses the race for a subnet (flannel: exits)", async () => {
    const store = createFakeLeaseStore({ config: small });
    const operations: StoreOperation[] = [];
    let rival = 1;
    const raced = interceptStore(store, {
      before(operation) {
        operations.push(operation);
        if (operation !== "claim" || rival > 2) return;
        store.put(subnet(`10.5.${rival}.0/24`), host(100 + rival), 1_000);
        rival += 1;
      },
    });
    const clock = new ManualClock();
    const { lease } = await clock.runUntil(acquire(raced, 1, { clock, strategy: "sequential" }));
    expect(formatSubnet(lease.subnet)).toBe("10.5.3.0/24");
    expect(operations).toEqual(["getNetwork", "list", "claim", "claim", "getNetwork", "list", "claim"]);
  });

  test("takes over the lease that another process of this host claimed meanwhile", async () => {
    const store = createFakeLeaseStore();
    let isFirst = true;
    const raced = interceptStore(store, {
      before(operation) {
        if (operation === "claim" && isFirst) store.put(subnet("10.5.1.0/24"), host(1), 1_000);
        isFirst &&= operation !== "claim";
      },
    });
    const { lease } = await acquire(raced, 1, { strategy: "sequential" });
    expect(formatSubnet(lease.subnet)).toBe("10.5.1.0/24");
    expect((await store.list()).leases).toEqual([lease]);
  });

  test("starts over when our own lease is taken from us before it is renewed", async () => {
    const store = createFakeLeaseStore();
    store.put(subnet("10.5.7.0/24"), host(1), 1_000);
    let isFirst = true;
    const raced = interceptStore(store, {
      before(operation) {
        if (operation === "renew" && isFirst) store.put(subnet("10.5.7.0/24"), host(9), 1_000);
        isFirst &&= operation !== "renew";
      },
    });
    const { lease } = await acquire(raced, 1, { strategy: "sequential" });
    expect(formatSubnet(lease.subnet)).toBe("10.5.1.0/24");
  });

  test("takes over what an earlier call claimed without learning of it", async () => {
    const store = createFakeLeaseStore();
    let isCut = true;
    const cut = interceptStore(store, {
      after(operation) {
        if (operation === "claim" && isCut) throw new Error("connection cut");
      },
    });
    await expect(acquire(cut, 1, {})).rejects.toThrow("connection cut");
    isCut = false;
    const { lease } = await acquire(cut, 1, {});
    expect((await store.list()).leases).toEqual([lease]);
  });

  test("reads the network afresh in every round", async () => {
    const operations: StoreOperation[] = [];
    const store = interceptStore(createFakeLeaseStore(), {
      before: (operation) => void operations.push(operation),
    });
    await acquire(store, 1, {});
    expect(operations).toEqual(["getNetwork", "list", "claim"]);
  });

  test.each([
    ["publicIP", '{"Network":"10.5.0.0/16"}', { publicIPv6: parseAddress("2001:db8::1"), backendType: "" }],
    ["publicIP", '{"Network":"10.5.0.0/16"}', { publicIP: parseAddress("0.0.0.0"), backendType: "" }],
    ["publicIPv6", ipv6Only, { publicIP: parseAddress("192.0.2.1"), backendType: "" }],
  ])(
    "throws a TypeError when the attributes lack the %s of the network %s",
    async (member, config, attributes) => {
      const store = createFakeLeaseStore({ config });
      await expect(acquireLease(store, { attributes })).rejects.toThrow(
        new TypeError(
          `Cannot acquire lease: the attributes have no ${member}, expected the address that peers reach this host by`,
        ),
      );
    },
  );

  test("rejects with signal.reason when it is aborted while it waits for another round", async () => {
    const clock = new ManualClock();
    const stop = new AbortController();
    const store = createFakeLeaseStore();
    let rival = 0;
    const raced = interceptStore(store, {
      // Somebody is always faster.
      before(operation) {
        if (operation === "claim") store.put(subnet(`10.5.${(rival += 1)}.0/24`), host(9), 1_000);
      },
    });
    const acquiring = acquire(raced, 1, { clock, signal: stop.signal, strategy: "sequential" });
    while (clock.sleepers === 0) await clock.advance(0);
    stop.abort(new Error("enough"));
    await expect(acquiring).rejects.toThrow("enough");
  });
});

function acquire(
  store: LeaseStore,
  n: number,
  options: Omit<AcquireLeaseOptions, "attributes">,
): ReturnType<typeof acquireLease> {
  return acquireLease(store, { attributes: host(n), ...options });
}

function host(n: number): LeaseAttributes {
  return { publicIP: parseAddress(`192.0.2.${n}`), backendType: "" };
}

function subnet(ipv4: string): Subnet {
  return { ipv4: parsePrefix(ipv4) };
}
