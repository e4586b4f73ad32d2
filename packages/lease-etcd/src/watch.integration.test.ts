import {
  leaseChannelName,
  type LeaseDiagnostic,
  type LeaseEvent,
  type LeaseStore,
  parseLeaseValue,
  parseSubnetKey,
} from "@loden/lease";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openEtcdLeaseStore, StoreUnavailableError } from "./index.ts";
import { type EtcdCluster, startEtcdCluster, startTcpProxy, type TcpProxy } from "./testing.ts";
import { lacksEtcd } from "./testing/lacks-etcd.fixture.ts";

describe.skipIf(lacksEtcd)("watch() (needs etcd)", () => {
  const ttlMs = 60_000;
  const attributes = parseLeaseValue('{"PublicIP":"192.0.2.1"}');
  let count = 0;
  let prefix: string;
  let cluster: EtcdCluster;
  let proxy: TcpProxy;
  let writer: LeaseStore;
  let store: LeaseStore;

  beforeAll(async () => {
    cluster = await startEtcdCluster();
  });
  afterAll(() => cluster[Symbol.asyncDispose]());
  beforeEach(async () => {
    count += 1;
    prefix = `/test${count}`;
    const [endpoint = ""] = cluster.endpoints;
    proxy = await startTcpProxy(endpoint);
    // Thousands of claims at once, on a machine that may be busy.
    writer = openEtcdLeaseStore({ endpoints: [endpoint], prefix, callTimeoutMs: 20_000 });
    store = openEtcdLeaseStore({ endpoints: [proxy.endpoint], prefix, callTimeoutMs: 300, watchIdleMs: 300 });
  });
  afterEach(async () => {
    await Promise.all([store.close(), writer.close()]);
    await proxy[Symbol.asyncDispose]();
  });

  async function write(first: number, howMany: number): Promise<string[]> {
    const leases = await Promise.all(
      Array.from({ length: howMany }, (_, index) =>
        writer.claim(subnetAt(first + index), attributes, { ttlMs }),
      ),
    );
    return leases.map(({ revision }) => revision).toSorted((a, b) => Number(BigInt(a) - BigInt(b)));
  }

  test("watch() tells every event once when the connection is cut again and again", async () => {
    const events = watchOn(store);
    await take(events, 1);
    const [cut, cuts] = [setInterval(() => proxy.cut(), 60), 4];
    const revisions: string[] = [];
    const told: LeaseEvent[] = [];
    try {
      for (let round = 0; round < cuts; round += 1) {
        const writing = write(250 * round, 250);
        told.push(...(await take(events, 250)));
        revisions.push(...(await writing));
      }
    } finally {
      clearInterval(cut);
    }
    expect(told.map(({ revision }) => revision)).toEqual(revisions);
    await events.return?.();
  });

  test("watch() tells every event once when a cut falls into a catch-up of many revisions", async () => {
    const { revision } = await store.list();
    const revisions = await write(0, 3_000);
    const events = store.watch({ since: revision })[Symbol.asyncIterator]();
    const told = await take(events, 500);
    proxy.cut();
    told.push(...(await take(events, 2_500)));
    expect(told.map((event) => event.revision)).toEqual(revisions);
    await events.return?.();
  });

  test("watch() tells a snapshot when history was compacted while it was disconnected", async () => {
    const events = store.watch()[Symbol.asyncIterator]();
    await write(0, 3);
    await take(events, 1);
    proxy.refuse();
    const pending = take(events, 1);
    const [last = ""] = (await write(10, 1)).slice(-1);
    await cluster.ctl("del", `${prefix}/subnets/10.5.1.0-24`);
    await cluster.ctl("compact", `${BigInt(last) + 1n}`);
    proxy.restore();
    const [event] = await pending;
    if (event?.type !== "snapshot") throw new Error(`it is ${event?.type}, expected a snapshot`);
    expect(new Set(event.leases.map(({ subnet }) => subnet))).toEqual(new Set([0, 2, 10].map(subnetAt)));
    await events.return?.();
  });

  test("watch() tells a snapshot when it starts from a revision that was compacted", async () => {
    const { revision } = await store.list();
    const [last = ""] = (await write(0, 20)).slice(-1);
    await cluster.ctl("compact", last);
    const [event] = await take(store.watch({ since: revision })[Symbol.asyncIterator](), 1);
    expect(event?.type).toBe("snapshot");
  });

  test("watch() goes on when its connection is alive and carries nothing", async () => {
    const events = watchOn(store);
    await take(events, 1);
    // What has told an event is open.
    await Promise.all([take(events, 1), write(0, 1)]);
    proxy.swallow();
    const givenUp = nextRetry();
    const pending = take(events, 1);
    await write(1, 1);
    await givenUp;
    proxy.restore();
    expect((await pending)[0]).toMatchObject({ type: "added", lease: { subnet: subnetAt(1) } });
    await events.return?.();
  });

  test("watch() stays on its stream when nothing happens for many times the idle time", async () => {
    const retries: unknown[] = [];
    const listen = (message: unknown): number => retries.push(message);
    subscribe(leaseChannelName, listen);
    const events = store.watch()[Symbol.asyncIterator]();
    await take(events, 1);
    const pending = take(events, 1);
    await sleep(1_500);
    await write(0, 1);
    expect((await pending)[0]?.type).toBe("added");
    unsubscribe(leaseChannelName, listen);
    expect(retries).toEqual([]);
    await events.return?.();
  });

  test("watch() gives every event of one revision again when it is left between them", async () => {
    await write(0, 2);
    const { revision } = await store.list();
    const end = `${prefix}/subnets0`;
    await cluster.ctl("del", `${prefix}/subnets/`, end);
    const first = await take(store.watch({ since: revision })[Symbol.asyncIterator](), 1);
    const again = await take(store.watch({ since: first[0]?.revision })[Symbol.asyncIterator](), 2);
    expect(again.map(({ type }) => type)).toEqual(["removed", "removed"]);
    const after = store.watch({ since: again[1]?.revision })[Symbol.asyncIterator]();
    await write(7, 1);
    expect((await take(after, 1))[0]).toMatchObject({ type: "added", lease: { subnet: subnetAt(7) } });
  });

  test("watch() rejects with ERR_STORE_UNAVAILABLE when etcd stays away", async () => {
    const events = store.watch()[Symbol.asyncIterator]();
    await take(events, 1);
    proxy.refuse();
    await expect(events.next()).rejects.toMatchObject({ code: "ERR_STORE_UNAVAILABLE" });
  });

  test("watch() rejects with RangeError when since is no revision of this store", async () => {
    await expect(store.watch({ since: "abc" })[Symbol.asyncIterator]().next()).rejects.toThrow(RangeError);
  });
});

/** Watches again from the last event when the store gives up, as the engine does. */
async function* watchOn(store: LeaseStore): AsyncGenerator<LeaseEvent, void, undefined> {
  let since: string | undefined;
  for (;;) {
    try {
      for await (const event of store.watch({ since })) {
        since = event.revision;
        yield event;
      }
      return;
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
    }
  }
}

/** Waits until a watch is given up, to be begun again. */
function nextRetry(): Promise<void> {
  return new Promise((resolve) => {
    const listen = (message: unknown): void => {
      if ((message as LeaseDiagnostic).type !== "watch-retrying") return;
      unsubscribe(leaseChannelName, listen);
      resolve();
    };
    subscribe(leaseChannelName, listen);
  });
}

async function take(events: AsyncIterator<LeaseEvent>, howMany: number): Promise<LeaseEvent[]> {
  const taken: LeaseEvent[] = [];
  while (taken.length < howMany) {
    const result = await events.next();
    if (result.done === true) throw new Error("the watch ended");
    taken.push(result.value);
  }
  return taken;
}

function subnetAt(index: number): NonNullable<ReturnType<typeof parseSubnetKey>> {
  return parseSubnetKey(`10.${5 + (index >> 8)}.${index & 0xff}.0-24`) ?? {};
}
