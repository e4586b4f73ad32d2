import { parseAddress, parsePrefix } from "@loden/ip";
import { formatSubnet, type Subnet } from "@loden/subnet";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { describe, expect, test } from "vitest";
import { acquireLease, type AcquireLeaseOptions } from "./acquire-lease.ts";
import { leaseChannelName } from "./diagnostics.ts";
import type { LeaseAttributes } from "./lease.ts";
import { createFakeLeaseStore, type FakeLeaseStore } from "./testing/fake-lease-store.ts";

const hourMs = 3_600_000;
// Three subnets can be had: 10.5.1.0, 10.5.2.0 and 10.5.3.0.
const config = JSON.stringify({
  Network: "10.5.0.0/22",
  SubnetLen: 24,
  Loden: { Assignments: { "192.0.2.1": "10.5.2.0/24", "host-c": "10.5.3.0/24" } },
});

describe("acquireLease() with assignments in the config", () => {
  test("takes the subnet that is assigned to its public address", async () => {
    expect(await acquire(createFakeLeaseStore({ config }), 1)).toBe("10.5.2.0/24");
  });

  test("takes the subnet that is assigned to its host name, in any case", async () => {
    expect(await acquire(createFakeLeaseStore({ config }), 3, { hostName: "Host-C" })).toBe("10.5.3.0/24");
  });

  test("prefers the assignment by public address to that by host name", async () => {
    expect(await acquire(createFakeLeaseStore({ config }), 1, { hostName: "host-c" })).toBe("10.5.2.0/24");
  });

  test("never takes what is assigned to another host, though it is free or was its own", async () => {
    const store = createFakeLeaseStore({ config });
    const previous = subnet("10.5.2.0/24");
    expect(await acquire(store, 8, { previous })).toBe("10.5.1.0/24");
    await expect(acquire(store, 9, { previous })).rejects.toThrow(
      expect.objectContaining({ code: "ERR_SUBNET_EXHAUSTED" }) as Error,
    );
  });

  test("leaves a lease on what was assigned to another host meanwhile, and one that is not the assigned", async () => {
    const store = createFakeLeaseStore({ config });
    store.put(subnet("10.5.2.0/24"), host(8), hourMs);
    expect(await acquire(store, 8)).toBe("10.5.1.0/24");
    expect(await acquire(store, 1)).toBe("10.5.2.0/24");
    store.remove(subnet("10.5.2.0/24"));
    store.put(subnet("10.5.3.0/24"), host(1), hourMs);
    expect(await acquire(store, 1)).toBe("10.5.2.0/24");
    expect(await stored(store)).toEqual(["10.5.1.0/24", "10.5.2.0/24"]);
  });

  test("renews its lease on the assigned subnet", async () => {
    const store = createFakeLeaseStore({ config });
    await acquire(store, 1);
    expect(await acquire(store, 1)).toBe("10.5.2.0/24");
    expect(await stored(store)).toEqual(["10.5.2.0/24"]);
  });

  test("takes another subnet, and says so, while somebody else has the assigned one", async () => {
    const store = createFakeLeaseStore({ config });
    store.put(subnet("10.5.2.0/24"), host(9), hourMs);
    const told: unknown[] = [];
    const listen = (message: unknown): void => void told.push(message);
    subscribe(leaseChannelName, listen);
    expect(await acquire(store, 1)).toBe("10.5.1.0/24");
    unsubscribe(leaseChannelName, listen);
    expect(told).toEqual([{ type: "assignment-taken", subnet: "10.5.2.0/24", by: "10.5.2.0/24" }]);
    // It comes back when it can, and gives the other one up.
    store.remove(subnet("10.5.2.0/24"));
    expect(await acquire(store, 1)).toBe("10.5.2.0/24");
    expect(await stored(store)).toEqual(["10.5.2.0/24"]);
  });
});

async function acquire(
  store: FakeLeaseStore,
  n: number,
  options: Omit<AcquireLeaseOptions, "attributes"> = {},
): Promise<string> {
  const { lease } = await acquireLease(store, { attributes: host(n), ...options });
  return formatSubnet(lease.subnet);
}

async function stored(store: FakeLeaseStore): Promise<string[]> {
  return (await store.list()).leases.map((lease) => formatSubnet(lease.subnet)).toSorted();
}

function host(n: number): LeaseAttributes {
  return { publicIP: parseAddress(`192.0.2.${n}`), backendType: "" };
}

function subnet(ipv4: string): Subnet {
  return { ipv4: parsePrefix(ipv4) };
}
