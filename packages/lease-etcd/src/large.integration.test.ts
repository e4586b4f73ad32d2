import {
  followLeases,
  type Lease,
  type LeaseStore,
  parseLeaseValue,
  parseSubnetKey,
  type PeerUpdate,
} from "@loden/lease";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEtcdTransport } from "./transport/create-etcd-transport.ts";
import type { Operation } from "./transport/etcd-transport.ts";
import { openEtcdLeaseStore } from "./index.ts";
import { openHttp2Member } from "./grpc/open-http2-member.ts";
import { type EtcdCluster, startEtcdCluster } from "./testing.ts";
import { lacksEtcd } from "./testing/lacks-etcd.fixture.ts";

const howMany = 65_536;
const most = 128;

describe.skipIf(lacksEtcd)("65,536 leases (needs etcd)", () => {
  let cluster: EtcdCluster;
  let store: LeaseStore;

  beforeAll(async () => {
    cluster = await startEtcdCluster();
    await fill(cluster);
    store = openEtcdLeaseStore({ endpoints: cluster.endpoints });
  });
  afterAll(async () => {
    await store.close();
    await cluster[Symbol.asyncDispose]();
  });

  test("list() returns all of them as of one revision", async () => {
    const { leases, revision } = await store.list();
    expect(leases).toHaveLength(howMany);
    expect(new Set(leases.map(({ subnet }) => subnet.ipv4?.toString())).size).toBe(howMany);
    expect(Math.max(...leases.map((listed) => Number(listed.revision)))).toBe(Number(revision));
  });

  test("list() returns leases of one revision when others write between its pages", async () => {
    const writing = new AbortController();
    const lease = await claimFree(store);
    const last = renewUntil(store, lease, writing.signal);
    const { leases, revision } = await store.list();
    writing.abort();
    const current = await last;
    expect(Number(current.revision)).toBeGreaterThan(Number(revision));
    expect(Math.max(...leases.map((listed) => Number(listed.revision)))).toBeLessThanOrEqual(
      Number(revision),
    );
    await store.release(current);
  });

  test("followLeases() follows all of them, and what changes after", async () => {
    const updates = followLeases(store);
    let update = (await updates.next()).value as PeerUpdate;
    expect(update.peers).toHaveLength(howMany);
    const lease = await claimFree(store);
    update = (await updates.next()).value as PeerUpdate;
    expect(update.peers).toHaveLength(howMany + 1);
    expect(update.changes).toMatchObject([{ type: "added", lease: { subnet: lease.subnet } }]);
    await store.release(lease);
    update = (await updates.next()).value as PeerUpdate;
    expect(update.peers).toHaveLength(howMany);
    await updates.return();
  });
});

function claimFree(store: LeaseStore): ReturnType<LeaseStore["claim"]> {
  const attributes = parseLeaseValue('{"PublicIP":"192.0.2.1"}');
  return store.claim(parseSubnetKey("11.0.0.0-24") ?? {}, attributes, { ttlMs: 60_000 });
}

async function renewUntil(store: LeaseStore, lease: Lease, end: AbortSignal): Promise<Lease> {
  let current = lease;
  while (!end.aborted) current = await store.renew(current, { ttlMs: 60_000 });
  return current;
}

// As many flannel hosts: their keys and values, on one etcd lease, most to a transaction.
async function fill({ endpoints }: EtcdCluster): Promise<void> {
  const [endpoint = ""] = endpoints;
  const transport = createEtcdTransport([openHttp2Member(endpoint)], {
    callTimeoutMs: 10_000,
    random: Math.random,
  });
  const call = { operation: "fill etcd" };
  await transport.leaseGrant({ id: "7", ttlSeconds: 86_400 }, call);
  for (let first = 0; first < howMany; first += most) {
    const success = Array.from({ length: most }, (_, index) => put(first + index));
    await transport.txn({ compare: [], success, failure: [] }, call);
  }
  transport.close();
}

function put(index: number): Operation {
  const [high, low] = [index >> 8, index & 0xff];
  const value = `{"PublicIP":"172.16.${high}.${low}","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}`;
  const key = Buffer.from(`/coreos.com/network/subnets/10.${high}.${low}.0-24`);
  return { type: "put", key, value: Buffer.from(value), lease: "7" };
}
