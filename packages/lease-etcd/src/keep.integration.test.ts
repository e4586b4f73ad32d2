import {
  acquireLease,
  followLeases,
  type KeepEvent,
  keepLease,
  type Lease,
  type LeaseStore,
  parseLeaseValue,
  type PeerUpdate,
} from "@loden/lease";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openEtcdLeaseStore } from "./index.ts";
import { type EtcdCluster, startEtcdCluster, startTcpProxy, type TcpProxy } from "./testing.ts";
import { lacksEtcd } from "./testing/lacks-etcd.fixture.ts";

// The engine over a real etcd, beside a program that writes as a flannel host does: without asking.
describe.skipIf(lacksEtcd)("a kept lease (needs etcd)", () => {
  const attributes = parseLeaseValue('{"PublicIP":"192.0.2.1"}');
  const foreign = '{"PublicIP":"192.0.2.9","PublicIPv6":null}';
  let count = 0;
  let prefix: string;
  let cluster: EtcdCluster;
  let proxy: TcpProxy;
  let store: LeaseStore;

  beforeAll(async () => {
    cluster = await startEtcdCluster();
  });
  afterAll(() => cluster[Symbol.asyncDispose]());
  beforeEach(async () => {
    count += 1;
    prefix = `/test${count}`;
    await cluster.ctl("put", `${prefix}/config`, '{"Network":"10.5.0.0/16"}');
    proxy = await startTcpProxy(cluster.endpoints[0] ?? "");
    store = openEtcdLeaseStore({ endpoints: [proxy.endpoint], prefix, callTimeoutMs: 300 });
  });
  afterEach(async () => {
    await store.close();
    await proxy[Symbol.asyncDispose]();
  });

  const keyOf = (lease: Lease): string => {
    const { address, length } = lease.subnet.ipv4 ?? {};
    return `${prefix}/subnets/${address?.toString()}-${length}`;
  };

  test("keepLease() renews, and tells when a flannel host overwrites the lease", async () => {
    const { lease } = await acquireLease(store, { attributes, ttlMs: 3_000 });
    const events = keepLease(store, lease, { ttlMs: 3_000 });
    const renewed = await next(events);
    expect(renewed.type).toBe("renewed");
    expect(BigInt(renewed.lease.revision)).toBeGreaterThan(BigInt(lease.revision));
    const pending = next(events, "conflict");
    await cluster.ctl("put", keyOf(lease), foreign);
    expect(await pending).toMatchObject({
      type: "conflict",
      error: { message: expect.stringMatching(/192\.0\.2\.9.*192\.0\.2\.1/) },
    });
    expect(await cluster.ctl("get", "--print-value-only", keyOf(lease))).toBe(`${foreign}\n`);
  });

  test("keepLease() tells when somebody deletes the lease, and acquireLease() gets the subnet back", async () => {
    const { lease } = await acquireLease(store, { attributes });
    const pending = next(keepLease(store, lease), "lost");
    await cluster.ctl("del", keyOf(lease));
    expect((await pending).type).toBe("lost");
    const again = await acquireLease(store, { attributes, previous: lease.subnet });
    expect(again.lease.subnet).toEqual(lease.subnet);
  });

  test("keepLease() tells of expiry when etcd is out of reach, and of the loss when it is back", async () => {
    const { lease } = await acquireLease(store, { attributes, ttlMs: 2_000 });
    const events = keepLease(store, lease, { ttlMs: 2_000 });
    proxy.refuse();
    expect((await next(events, "expired")).type).toBe("expired");
    await expect.poll(() => cluster.ctl("get", keyOf(lease)), { timeout: 20_000 }).toBe("");
    proxy.restore();
    expect((await next(events, "lost")).type).toBe("lost");
  });

  test("acquireLease() leaves a reservation one when it is ours, and another's alone", async () => {
    await cluster.ctl("put", `${prefix}/subnets/10.5.7.0-24`, '{"PublicIP":"192.0.2.1"}');
    await cluster.ctl("put", `${prefix}/subnets/10.5.8.0-24`, foreign);
    const { lease } = await acquireLease(store, { attributes });
    expect(lease).toMatchObject({ expiresAt: undefined });
    expect(lease.subnet.ipv4?.toString()).toBe("10.5.7.0/24");
    const text = await cluster.ctl("get", `${prefix}/subnets/`, "--prefix", "--write-out=fields");
    expect([...text.matchAll(/"Lease" : (\d+)/g)].map(([, id]) => id)).toEqual(["0", "0"]);
  });

  test("followLeases() keeps its peers through an outage, a reset and poisoned entries", async () => {
    const peers = followLeases(store);
    await cluster.ctl("put", `${prefix}/subnets/10.5.1.0-24`, foreign);
    await untilPeers(peers, ["10.5.1.0/24 192.0.2.9"]);
    proxy.refuse();
    await cluster.ctl("put", `${prefix}/subnets/10.5.1.0-24`, foreign.replace(".9", ".8"));
    await cluster.ctl("put", `${prefix}/subnets/10.5.2.0-24`, "{");
    await cluster.ctl("put", `${prefix}/subnets/no-key`, foreign);
    const status = await cluster.ctl("get", "nothing", "--write-out=json");
    await cluster.ctl("compact", /"revision":(\d+)/.exec(status)?.[1] ?? "");
    proxy.restore();
    // flannel: no word of the new address after a reset, and no peers at all after a poisoned entry.
    const changes = await untilPeers(peers, ["10.5.1.0/24 192.0.2.8"]);
    expect(changes).toMatchObject([{ type: "changed" }]);
    await peers.return();
  });
});

async function next(events: AsyncIterator<KeepEvent, void>, type?: KeepEvent["type"]): Promise<KeepEvent> {
  for (;;) {
    const { value } = await events.next();
    if (value === undefined) throw new Error("the lease is not kept any more");
    if (type === undefined || value.type === type) return value;
  }
}

async function untilPeers(
  updates: AsyncIterator<PeerUpdate, void>,
  expected: readonly string[],
): Promise<PeerUpdate["changes"]> {
  for (;;) {
    const { value } = await updates.next();
    if (value === undefined) throw new Error("nobody follows any more");
    const peers = value.peers.map(({ subnet, attributes }) => {
      return `${subnet.ipv4?.toString()} ${attributes.publicIP?.toString()}`;
    });
    if (peers.join() === expected.join()) return value.changes;
  }
}
