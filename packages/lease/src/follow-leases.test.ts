import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { parseAddress, parsePrefix } from "@loden/ip";
import { formatSubnet, type Subnet } from "@loden/subnet";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { leaseChannelName } from "./diagnostics.ts";
import { followLeases, type FollowLeasesOptions } from "./follow-leases.ts";
import type { Lease, LeaseAttributes } from "./lease.ts";
import type { LeaseEvent, LeaseStore, WatchOptions } from "./lease-store.ts";
import { createFakeLeaseStore, type FakeLeaseStore } from "./testing/fake-lease-store.ts";
import { interceptStore, type StoreOperation } from "./testing/intercept-store.ts";
import { ManualClock } from "./testing/manual-clock.ts";

const ttlMs = 1_000;

let clock: ManualClock;
let fake: FakeLeaseStore;
let stop: AbortController;

beforeEach(() => {
  clock = new ManualClock();
  fake = createFakeLeaseStore({ clock });
  stop = new AbortController();
});

afterEach(() => stop.abort());

describe("followLeases()", () => {
  test("tells at once that there are no peers when there are none", async () => {
    const { updates } = follow(fake);
    await clock.advance(0);
    expect(updates).toEqual([{ peers: [], changes: [] }]);
  });

  test("tells the whole set of peers and what changed", async () => {
    fake.put(subnet(1), host(1), ttlMs);
    const { updates } = follow(fake);
    await clock.advance(0);
    fake.put(subnet(2), host(2), ttlMs);
    await clock.advance(0);
    fake.put(subnet(1), host(3), ttlMs);
    await clock.advance(0);
    fake.remove(subnet(2));
    await clock.advance(0);
    expect(updates).toEqual([
      { peers: ["1 at 1"], changes: ["added 1 at 1"] },
      { peers: ["1 at 1", "2 at 2"], changes: ["added 2 at 2"] },
      { peers: ["1 at 3", "2 at 2"], changes: ["changed 1 at 3, was 1 at 1"] },
      { peers: ["1 at 3"], changes: ["removed 2 at 2"] },
    ]);
  });

  test("does the same over events as over snapshots", async () => {
    const [first, second, third] = [
      fake.put(subnet(1), host(1)),
      fake.put(subnet(2), host(2)),
      fake.put(subnet(1), host(3)),
    ];
    const { updates } = follow(
      scripted([
        { type: "snapshot", leases: [first], revision: "1" },
        { type: "added", lease: second, revision: "2" },
        "pause",
        { type: "updated", lease: third, revision: "3" },
        { type: "removed", subnet: subnet(2), revision: "4" },
        "pause",
      ]),
    );
    await clock.advance(3_000);
    expect(updates).toEqual([
      { peers: ["1 at 1", "2 at 2"], changes: ["added 1 at 1", "added 2 at 2"] },
      { peers: ["1 at 3"], changes: ["changed 1 at 3, was 1 at 1", "removed 2 at 2"] },
    ]);
  });

  test("tells nothing for a renewal, and nothing for what came and went in one burst", async () => {
    const lease = fake.put(subnet(1), host(1));
    const { updates } = follow(
      scripted([
        { type: "snapshot", leases: [lease], revision: "1" },
        "pause",
        { type: "updated", lease: { ...lease, revision: "2", expiresAt: 1 }, revision: "2" },
        "pause",
        { type: "added", lease: { ...lease, subnet: subnet(2) }, revision: "3" },
        { type: "removed", subnet: subnet(2), revision: "4" },
        "pause",
        { type: "removed", subnet: subnet(3), revision: "5" },
        "pause",
      ]),
    );
    await clock.advance(10_000);
    expect(updates).toHaveLength(1);
  });

  test("leaves out our own lease, by lease or by subnet, and nobody else's", async () => {
    const own = fake.put(subnet(1), host(1), ttlMs);
    fake.put(subnet(2), host(2), ttlMs);
    const byLease = follow(fake, { own });
    const bySubnet = follow(fake, { own: own.subnet });
    await clock.advance(0);
    fake.put(subnet(1), host(9), ttlMs);
    await clock.advance(0);
    for (const { updates } of [byLease, bySubnet]) {
      expect(updates).toEqual([{ peers: ["2 at 2"], changes: ["added 2 at 2"] }]);
    }
  });

  test("a second snapshot never removes our own lease (flannel: second reset)", async () => {
    const own = fake.put(subnet(1), host(1));
    const peer = fake.put(subnet(2), host(2));
    const { updates } = follow(
      scripted([
        { type: "snapshot", leases: [own, peer], revision: "1" },
        "pause",
        { type: "snapshot", leases: [own, peer], revision: "2" },
        "pause",
        { type: "snapshot", leases: [peer], revision: "3" },
        "pause",
      ]),
      { own },
    );
    await clock.advance(10_000);
    expect(updates).toEqual([{ peers: ["2 at 2"], changes: ["added 2 at 2"] }]);
  });

  test("a second snapshot shows what changed, attributes included (flannel: attribute change across a reset)", async () => {
    fake.put(subnet(1), host(1), ttlMs);
    fake.put(subnet(2), host(2), ttlMs);
    const { updates } = follow(fake);
    await clock.advance(0);
    fake.breakWatches(new Error("stream reset"));
    fake.put(
      subnet(1),
      { ...host(1), backendType: "vxlan", backendData: { VtepMAC: "00:00:5e:00:53:01" } },
      ttlMs,
    );
    fake.remove(subnet(2));
    fake.put(subnet(3), host(3), ttlMs);
    await clock.advance(5_000);
    expect(updates.slice(1)).toEqual([
      {
        peers: ["1 at 1", "3 at 3"],
        changes: ["removed 2 at 2", "changed 1 at 1, was 1 at 1", "added 3 at 3"],
      },
    ]);
  });

  test("an outage withdraws nobody, however long it lasts (flannel: empty reset on error)", async () => {
    fake.put(subnet(1), host(1), ttlMs);
    let isDown = false;
    const store = interceptStore(fake, {
      before(operation) {
        if (operation === "watch" && isDown) throw new Error("no route to host");
      },
    });
    const { updates } = follow(store);
    await clock.advance(0);
    isDown = true;
    fake.breakWatches(new Error("stream reset"));
    await clock.advance(24 * 60 * 60_000);
    expect(updates).toHaveLength(1);
    isDown = false;
    fake.put(subnet(2), host(2), ttlMs);
    await clock.advance(5_000);
    expect(updates.at(-1)).toEqual({ peers: ["1 at 1", "2 at 2"], changes: ["added 2 at 2"] });
  });

  test("starts when the store can be reached at last (flannel: initial list failure leaves no peers for ever)", async () => {
    let failures = 10;
    const store = interceptStore(fake, {
      before(operation) {
        if (operation === "watch" && (failures -= 1) >= 0) throw new Error("no route to host");
      },
    });
    fake.put(subnet(1), host(1), ttlMs);
    const { updates } = follow(store);
    await clock.advance(60_000);
    expect(updates).toEqual([{ peers: ["1 at 1"], changes: ["added 1 at 1"] }]);
  });

  test("watches again from the last revision, after growing delays, and publishes them", async () => {
    const messages: unknown[] = [];
    const listener = (message: unknown): void => void messages.push(message);
    subscribe(leaseChannelName, listener);
    const error = new Error("stream reset");
    const since: (string | undefined)[] = [];
    const store: LeaseStore = {
      ...interceptStore(fake, {}),
      async *watch(options: WatchOptions = {}) {
        since.push(options.since);
        if (since.length === 1) yield { type: "snapshot", leases: [], revision: "7" };
        throw error;
      },
    };
    follow(store);
    await clock.advance(500);
    unsubscribe(leaseChannelName, listener);
    expect(since).toEqual([undefined, "7", "7"]);
    expect(messages).toEqual([
      { type: "watch-retrying", error, attempt: 1, delayMs: 100 },
      { type: "watch-retrying", error, attempt: 2, delayMs: 200 },
      { type: "watch-retrying", error, attempt: 3, delayMs: 400 },
    ]);
  });

  test("reads nothing but one event ahead while the consumer is busy, and then gives all at once", async () => {
    const operations: StoreOperation[] = [];
    const store = interceptStore(fake, { before: (operation) => void operations.push(operation) });
    const iterator = followLeases(store, { clock, signal: stop.signal });
    await iterator.next();
    for (let n = 1; n <= 100; n += 1) fake.put(subnet(n), host(n), ttlMs);
    await clock.advance(0);
    expect(operations.length).toBeLessThanOrEqual(3);
    const { value } = await iterator.next();
    expect(value?.changes).toHaveLength(100);
  });

  test("rejects with signal.reason when the signal aborts", async () => {
    const { done } = follow(fake);
    await clock.advance(0);
    stop.abort(new Error("enough"));
    await expect(done).rejects.toThrow("enough");
  });

  test("ends quietly when the store closes", async () => {
    const { updates, done } = follow(fake);
    await clock.advance(0);
    await fake.close();
    await done;
    expect(updates).toHaveLength(1);
  });

  test("ends quietly when the store closes while it waits to watch again", async () => {
    const { updates, done } = follow(fake);
    await clock.advance(0);
    fake.breakWatches(new Error("stream reset"));
    await clock.advance(0);
    await fake.close();
    await clock.runUntil(done);
    expect(updates).toHaveLength(1);
  });

  test("leaves no watch behind on break", async () => {
    for await (const update of followLeases(fake, { clock })) {
      expect(update.peers).toEqual([]);
      break;
    }
    // Nobody waits any more, so nothing is left to break.
    await clock.advance(0);
    fake.breakWatches(new Error("unhandled"));
    await clock.advance(0);
    expect(clock.sleepers).toBe(0);
  });
});

function follow(
  store: LeaseStore,
  options: FollowLeasesOptions = {},
): { updates: { peers: string[]; changes: string[] }[]; done: Promise<void> } {
  const updates: { peers: string[]; changes: string[] }[] = [];
  const iterate = async (): Promise<void> => {
    const settings = { clock, random: () => 0, signal: stop.signal, ...options };
    for await (const { peers, changes } of followLeases(store, settings)) {
      updates.push({
        peers: peers.map(describeLease),
        changes: changes.map((change) => {
          const was = change.type === "changed" ? `, was ${describeLease(change.previous)}` : "";
          return `${change.type} ${describeLease(change.lease)}${was}`;
        }),
      });
    }
  };
  const done = iterate();
  done.catch(() => {});
  return { updates, done };
}

/** A store whose first watch tells these events; at "pause" a second passes. */
function scripted(script: readonly (LeaseEvent | "pause")[]): LeaseStore {
  return {
    ...interceptStore(fake, {}),
    async *watch({ signal }: WatchOptions = {}) {
      for (const step of script) {
        if (step === "pause") await clock.sleep(1_000, { signal });
        else yield step;
      }
    },
  };
}

/** `10.5.1.0/24` of 192.0.2.2 is "1 at 2". */
function describeLease(lease: Lease): string {
  const number = formatSubnet(lease.subnet).split(".")[2] ?? "";
  return `${number} at ${lease.attributes.publicIP?.toBytes()[3] ?? ""}`;
}

function subnet(n: number): Subnet {
  return { ipv4: parsePrefix(`10.5.${n}.0/24`) };
}

function host(n: number): LeaseAttributes {
  return { publicIP: parseAddress(`192.0.2.${n}`), backendType: "" };
}
