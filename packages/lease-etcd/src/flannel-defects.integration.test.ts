import {
  acquireLease,
  followLeases,
  type LeaseStore,
  parseLeaseValue,
  parseSubnetKey,
  type PeerUpdate,
} from "@loden/lease";
import { formatSubnet } from "@loden/subnet";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openEtcdLeaseStore } from "./index.ts";
import { type EtcdCluster, startEtcdCluster, startTcpProxy, type TcpProxy } from "./testing.ts";
import { readEtcdCounters } from "./testing/read-etcd-counters.fixture.ts";
import { lacksEtcd } from "./testing/lacks-etcd.fixture.ts";

// What flannel loses on etcd alone. What it loses on any store is among the conformance cases, which run on etcd too.
describe.skipIf(lacksEtcd)("flannel's defects (needs etcd)", () => {
  const attributes = parseLeaseValue('{"PublicIP":"192.0.2.1"}');
  let cluster: EtcdCluster;
  let proxy: TcpProxy;
  let store: LeaseStore;

  beforeAll(async () => {
    cluster = await startEtcdCluster();
  });
  afterAll(() => cluster[Symbol.asyncDispose]());
  beforeEach(async () => {
    proxy = await startTcpProxy(cluster.endpoints[0] ?? "");
    store = openEtcdLeaseStore({ endpoints: [proxy.endpoint], callTimeoutMs: 300 });
    await cluster.ctl("put", "/coreos.com/network/config", '{"Network":"10.5.0.0/16"}');
  });
  afterEach(async () => {
    await store.close();
    await proxy[Symbol.asyncDispose]();
    await cluster.ctl("del", "", "--prefix");
  });

  test("compaction and second reset: followLeases() never reports the own lease, and tells every change", async () => {
    const { lease } = await acquireLease(store, { attributes });
    const updates = followLeases(store, { own: lease });
    const changes = [...(await read(updates))];
    for (const host of [8, 9]) {
      proxy.refuse();
      await putPeer("10.5.200.0-24", host);
      await putPeer(`10.5.20${host}.0-24`, host);
      const status = await cluster.ctl("get", "nothing", "--write-out=json");
      await cluster.ctl("compact", /"revision":(\d+)/.exec(status)?.[1] ?? "");
      proxy.restore();
      changes.push(...(await read(updates)));
    }
    const own = formatSubnet(lease.subnet);
    expect(changes).toEqual([
      "added 10.5.200.0/24 192.0.2.8",
      "added 10.5.208.0/24 192.0.2.8",
      "changed 10.5.200.0/24 192.0.2.9",
      "added 10.5.209.0/24 192.0.2.9",
    ]);
    expect(changes.filter((change) => change.includes(own))).toEqual([]);
    await updates.return();
  });

  test("a call per lease: list() and watch() take one call each, however many leases there are", async () => {
    for (let index = 2; index < 42; index += 1) await putPeer(`10.5.${index}.0-24`, index);
    await store.list();
    const updates = followLeases(store);
    await updates.next();
    const before = await calls();
    await store.list();
    expect((await calls()) - before).toBe(1);
    for (let index = 2; index < 22; index += 1) await putPeer(`10.5.${index}.0-24`, 100 + index);
    const asked = await calls();
    let told = 0;
    while (told < 20) told += (await updates.next()).value?.changes.length ?? 0;
    expect(await calls()).toBe(asked);
    await updates.return();
  });

  test("IPv6-only: acquireLease() refuses with the reason and writes nothing that others could not read", async () => {
    const config = '{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:5::/48"}';
    await cluster.ctl("put", "/coreos.com/network/config", config);
    const acquiring = acquireLease(store, { attributes: parseLeaseValue('{"PublicIPv6":"2001:db8::1"}') });
    await expect(acquiring).rejects.toThrow("has no IPv4 part, expected one for flannel hosts");
    const keys = await cluster.ctl("get", "/coreos.com/network/", "--prefix", "--keys-only");
    expect(keys.trim()).toBe("/coreos.com/network/config");
  });

  test("an overlap that no transaction covers: claim() refuses what overlaps under another key", async () => {
    await putPeer("10.5.4.0-22", 9);
    const subnet = parseSubnetKey("10.5.5.0-24") ?? {};
    await expect(store.claim(subnet, attributes, { ttlMs: 60_000 })).rejects.toMatchObject({
      code: "ERR_LEASE_EXISTS",
      holder: { subnet: parseSubnetKey("10.5.4.0-22") },
    });
  });

  async function putPeer(key: string, host: number): Promise<void> {
    const value = `{"PublicIP":"192.0.2.${host}","PublicIPv6":null}`;
    await cluster.ctl("put", `/coreos.com/network/subnets/${key}`, value);
  }

  /** Unary calls so far, but those of etcdctl's puts. */
  async function calls(): Promise<number> {
    const [member] = cluster.members;
    if (member === undefined) throw new Error("there is no member");
    const counters = await readEtcdCounters(member);
    return Object.entries(counters.calls)
      .filter(([method]) => method !== "Put" && method !== "Watch")
      .reduce((sum, [, count]) => sum + count, 0);
  }
});

async function read(updates: AsyncIterator<PeerUpdate, void>): Promise<string[]> {
  const { value } = await updates.next();
  return (value?.changes ?? []).map(({ type, lease }) => {
    return `${type} ${formatSubnet(lease.subnet)} ${lease.attributes.publicIP?.toString() ?? "nobody"}`;
  });
}
