import { parseAddress, parsePrefix } from "@loden/ip";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { defaultTtlMs } from "./acquire-lease.ts";
import { type KeepEvent, keepLease } from "./keep-lease.ts";
import type { Lease, LeaseAttributes } from "./lease.ts";
import type { LeaseStore } from "./lease-store.ts";
import { createFakeLeaseStore, type FakeLeaseStore } from "./testing/fake-lease-store.ts";
import { interceptStore } from "./testing/intercept-store.ts";
import { ManualClock } from "./testing/manual-clock.ts";

// A host whose address or backend data changes while it holds its lease.

const hourMs = 3_600_000;
const subnet = { ipv4: parsePrefix("10.5.1.0/24") };

let clock: ManualClock;
let fake: FakeLeaseStore;
let store: LeaseStore;
let lease: Lease;
let stop: AbortController;
let publish: ReadableStreamDefaultController<LeaseAttributes>;
let events: KeepEvent[];
let afterRenew: (() => void) | undefined;
let beforeRenew: (() => void) | undefined;

beforeEach(async () => {
  clock = new ManualClock();
  fake = createFakeLeaseStore({ clock });
  store = interceptStore(fake, {
    before: (operation) => (operation === "renew" ? beforeRenew?.() : undefined),
    after: (operation) => (operation === "renew" ? afterRenew?.() : undefined),
  });
  [beforeRenew, afterRenew] = [undefined, undefined];
  lease = await store.claim(subnet, host(1), { ttlMs: defaultTtlMs });
  stop = new AbortController();
  events = [];
  const attributes = new ReadableStream<LeaseAttributes>({ start: (own) => void (publish = own) });
  const settings = { clock, random: () => 0, signal: stop.signal, attributes };
  const iterate = async (): Promise<void> => {
    for await (const event of keepLease(store, lease, settings)) events.push(event);
  };
  iterate().catch(() => {});
  await clock.advance(hourMs);
});

afterEach(() => stop.abort());

describe("keepLease() publishes what changed", () => {
  test("at once, on the same subnet, when it is given something new", async () => {
    publish.enqueue(host(2));
    await clock.advance(0);
    expect(events).toEqual([{ type: "renewed", lease: await current() }]);
    expect(await current()).toMatchObject({
      subnet,
      attributes: host(2),
      expiresAt: clock.now() + defaultTtlMs,
    });
    await clock.advance(23 * hourMs);
    expect(events.map(({ type }) => type)).toEqual(["renewed", "renewed"]);
    expect((await current()).attributes).toEqual(host(2));
  });

  test("not at all when it is what is published already", async () => {
    publish.enqueue(host(1));
    publish.close();
    await clock.advance(hourMs);
    expect(events).toEqual([]);
    expect(await current()).toEqual(lease);
  });

  test("again when the answer was lost, and takes its own write of the new address for its own", async () => {
    afterRenew = fail;
    publish.enqueue(host(2));
    await clock.advance(0);
    afterRenew = undefined;
    await clock.advance(60_000);
    expect(new Set(events.map(({ type }) => type))).toEqual(new Set(["retrying", "renewed"]));
    expect((await current()).attributes).toEqual(host(2));
  });

  test("the latest alone, when more comes while the store is out of reach", async () => {
    beforeRenew = fail;
    publish.enqueue(host(2));
    await clock.advance(0);
    publish.enqueue(host(3));
    await clock.advance(0);
    beforeRenew = undefined;
    await clock.advance(60_000);
    expect(events.at(-1)).toMatchObject({ type: "renewed", lease: { attributes: host(3) } });
  });

  test("the new data too while the store still holds what another program of this host wrote", async () => {
    fake.put(subnet, { ...host(1), backendType: "vxlan" }, defaultTtlMs);
    publish.enqueue(host(2));
    await clock.advance(60_000);
    expect((await current()).attributes).toEqual(host(2));
  });

  test("nothing over another host's lease", async () => {
    fake.put(subnet, host(9), defaultTtlMs);
    publish.enqueue(host(2));
    await clock.advance(0);
    expect(events.map(({ type }) => type)).toEqual(["conflict"]);
    expect((await current()).attributes).toEqual(host(9));
  });
});

async function current(): Promise<Lease> {
  return (await fake.list()).leases[0] as Lease;
}

function fail(): never {
  throw new Error("no route to host");
}

function host(n: number): LeaseAttributes {
  return { publicIP: parseAddress(`192.0.2.${n}`), backendType: "" };
}
