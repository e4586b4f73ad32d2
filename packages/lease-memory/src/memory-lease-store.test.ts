import {
  acquireLease,
  type LeaseAttributes,
  type LeaseEvent,
  parseLeaseValue,
  parseSubnetKey,
} from "@loden/lease";
import { ManualClock } from "@loden/lease/testing";
import type { Subnet } from "@loden/subnet";
import { describe, expect, test } from "vitest";
import { createMemoryLeaseStore, createMemoryStorage } from "./index.ts";

const config = '{"Network":"10.5.0.0/16"}';
const ttlMs = 60_000;

describe("createMemoryStorage()", () => {
  test("keeps flannel's bytes", async () => {
    const storage = createMemoryStorage({ config });
    const store = createMemoryLeaseStore(storage);
    await store.claim(subnet(52), host(1), { ttlMs });
    expect(storage.entries()).toMatchObject([
      { key: "10.5.52.0-24", value: '{"PublicIP":"192.0.2.1","PublicIPv6":null}' },
    ]);
  });

  test("keeps IPv6-only leases under a key that no flannel host reads", async () => {
    const ipv6Only = '{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:5::/48"}';
    const storage = createMemoryStorage({ config: ipv6Only });
    const store = createMemoryLeaseStore(storage);
    const attributes = parseLeaseValue('{"PublicIPv6":"2001:db8::1"}');
    const { lease } = await acquireLease(store, { attributes, strategy: "sequential" });
    const [entry] = storage.entries();
    expect(entry?.key).toBe("fd00:5:0:1::/64");
    expect(parseSubnetKey(entry?.key ?? "")).toBeUndefined();
    expect((await store.list()).leases).toEqual([lease]);
    await store.release(await store.renew(lease, { ttlMs }));
    expect(storage.entries()).toEqual([]);
  });

  test("shows a config that was changed at the next getNetwork()", async () => {
    const storage = createMemoryStorage({ config });
    const store = createMemoryLeaseStore(storage);
    storage.config = '{"Network":"10.6.0.0/16"}';
    expect(String((await store.getNetwork()).ipv4?.network)).toBe("10.6.0.0/16");
    storage.config = "{";
    await expect(store.getNetwork()).rejects.toThrow(SyntaxError);
  });

  test.each([0, -1, Infinity, Number.NaN])("refuses a ttlMs of %d", async (wrong) => {
    const store = createMemoryLeaseStore(createMemoryStorage({ config }));
    await expect(store.claim(subnet(1), host(1), { ttlMs: wrong })).rejects.toThrow(RangeError);
  });

  test("lets leases expire on access without anybody watching, and holds no timer", async () => {
    const clock = new ManualClock();
    const storage = createMemoryStorage({ config, clock });
    const store = createMemoryLeaseStore(storage);
    await store.claim(subnet(1), host(1), { ttlMs: 10 });
    await store.claim(subnet(2), host(2), { ttlMs: 30 });
    expect(clock.sleepers).toBe(0);
    await clock.advance(10);
    expect(storage.entries().map(({ key }) => key)).toEqual(["10.5.2.0-24"]);
    await clock.advance(20);
    expect((await store.list()).leases).toEqual([]);
  });

  test("does not let a jump of the wall clock expire anything", async () => {
    const clock = new ManualClock();
    const store = createMemoryLeaseStore(createMemoryStorage({ config, clock }));
    await store.claim(subnet(1), host(1), { ttlMs });
    clock.jump(365 * 24 * 60 * 60_000);
    expect((await store.list()).leases).toHaveLength(1);
  });

  test("uses one timer for any number of watches, and none after them", async () => {
    const clock = new ManualClock();
    const store = createMemoryLeaseStore(createMemoryStorage({ config, clock }));
    const stop = new AbortController();
    const watching = Array.from({ length: 10 }, () => collect(store.watch({ signal: stop.signal })));
    await clock.advance(0);
    await store.claim(subnet(1), host(1), { ttlMs: 30 });
    await store.claim(subnet(2), host(2), { ttlMs: 10 });
    await clock.advance(0);
    expect(clock.sleepers).toBe(1);
    await clock.advance(30);
    expect(clock.sleepers).toBe(0);
    stop.abort();
    for (const { events } of watching) {
      expect(events.map((event) => ("subnet" in event ? String(event.subnet.ipv4) : event.type))).toEqual([
        "snapshot",
        "added",
        "added",
        "10.5.2.0/24",
        "10.5.1.0/24",
      ]);
    }
  });
});

describe("watch() of a memory store", () => {
  test("resumes while the history lasts and gives a fresh snapshot when it does not", async () => {
    const storage = createMemoryStorage({ config, historyLength: 10 });
    const store = createMemoryLeaseStore(storage);
    const { revision } = await store.list();
    for (let n = 1; n <= 10; n += 1) storage.putLease(subnet(n), host(n));
    const resumed = await take(store.watch({ since: revision }), 10);
    expect(resumed.map(({ type }) => type)).toEqual(Array.from({ length: 10 }, () => "added"));
    storage.putLease(subnet(11), host(11));
    const [first] = await take(store.watch({ since: revision }), 1);
    expect(first).toMatchObject({ type: "snapshot", revision: "11" });
    expect(first?.type === "snapshot" && first.leases).toHaveLength(11);
  });

  test.each(["", "abc", "-1", "1.5", "NaN", "99"])(
    "gives a snapshot for the unknown revision %j",
    async (since) => {
      const storage = createMemoryStorage({ config });
      storage.putLease(subnet(1), host(1));
      const [first] = await take(createMemoryLeaseStore(storage).watch({ since }), 1);
      expect(first?.type).toBe("snapshot");
    },
  );

  test("tells that a lease is removed when somebody overwrites it with what cannot be read", async () => {
    const storage = createMemoryStorage({ config });
    const store = createMemoryLeaseStore(storage);
    const { revision } = storage.putLease(subnet(1), host(1));
    storage.putText("10.5.1.0-24", "{");
    storage.putText("10.5.1.0-24", "[");
    storage.putText("10.5.1.0-24", "{}");
    const events = await take(store.watch({ since: revision }), 2);
    expect(events.map(({ type }) => type)).toEqual(["removed", "added"]);
  });

  test("gives a slow reader a snapshot, then what comes after it", async () => {
    const storage = createMemoryStorage({ config, historyLength: 5 });
    const store = createMemoryLeaseStore(storage);
    const iterator = store.watch()[Symbol.asyncIterator]();
    await iterator.next();
    for (let n = 1; n <= 100; n += 1) storage.putLease(subnet(n), host(n));
    expect((await iterator.next()).value).toMatchObject({ type: "snapshot", revision: "100" });
    storage.delete("10.5.7.0-24");
    expect((await iterator.next()).value).toMatchObject({ type: "removed", revision: "101" });
    await iterator.return?.();
  });
});

function collect(events: AsyncIterable<LeaseEvent>): { events: LeaseEvent[] } {
  const all: LeaseEvent[] = [];
  const read = async (): Promise<void> => {
    for await (const event of events) all.push(event);
  };
  read().catch(() => {});
  return { events: all };
}

async function take(events: AsyncIterable<LeaseEvent>, count: number): Promise<LeaseEvent[]> {
  const taken: LeaseEvent[] = [];
  for await (const event of events) if (taken.push(event) === count) break;
  return taken;
}

function subnet(n: number): Subnet {
  return parseSubnetKey(`10.5.${n}.0-24`) as Subnet;
}

function host(n: number): LeaseAttributes {
  return parseLeaseValue(`{"PublicIP":"192.0.2.${n}"}`);
}
