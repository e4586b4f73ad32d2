import { acquireLease, type LeaseStore, parseLeaseValue, parseSubnetKey } from "@loden/lease";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openEtcdLeaseStore } from "./index.ts";
import { type EtcdCluster, startEtcdCluster, startTcpProxy, type TcpProxy } from "./testing.ts";
import { lacksEtcd } from "./testing/lacks-etcd.fixture.ts";

// etcd does what it was asked, and the client does not learn of it: the proxy breaks the connection in between.
describe.skipIf(lacksEtcd)("lost answers (needs etcd)", () => {
  const ttlMs = 60_000;
  const subnet = parseSubnetKey("10.5.1.0-24") ?? {};
  const dualSubnet = parseSubnetKey("10.5.1.0-24&fd00:5:0:1::-64") ?? {};
  const attributes = parseLeaseValue('{"PublicIP":"192.0.2.1"}');
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
    proxy = await startTcpProxy(cluster.endpoints[0] ?? "");
    store = openEtcdLeaseStore({ endpoints: [proxy.endpoint], prefix, callTimeoutMs: 500 });
    await cluster.ctl("put", `${prefix}/config`, '{"Network":"10.5.0.0/16"}');
    await store.list();
  });
  afterEach(async () => {
    await store.close();
    await proxy[Symbol.asyncDispose]();
  });

  async function keys(): Promise<string[]> {
    const text = await cluster.ctl("get", `${prefix}/subnets/`, "--prefix", "--keys-only");
    return text.split("\n").filter((line) => line !== "");
  }

  test.each([
    ["the grant", 0, subnet],
    ["the transaction", 1, subnet],
    ["the first list", 0, dualSubnet],
    ["the grant of a dual-stack claim", 1, dualSubnet],
    ["the transaction of a dual-stack claim", 2, dualSubnet],
    ["the last look of a dual-stack claim", 3, dualSubnet],
  ])("claim() returns the one lease when the answer to %s is lost", async (_, passed, wanted) => {
    const lost = proxy.loseAnswer(passed);
    const lease = await store.claim(wanted, attributes, { ttlMs });
    await lost;
    expect((await store.list()).leases).toEqual([lease]);
    expect(await keys()).toHaveLength(1);
    await expect(store.renew(lease, { ttlMs })).resolves.toMatchObject({ subnet: wanted });
  });

  test.each([
    ["the grant", 0],
    ["the transaction", 1],
  ])("renew() returns the lease as it is when the answer to %s is lost", async (_, passed) => {
    const lease = await store.claim(subnet, attributes, { ttlMs });
    const lost = proxy.loseAnswer(passed);
    const renewed = await store.renew(lease, { ttlMs });
    await lost;
    expect(renewed.revision).not.toBe(lease.revision);
    expect((await store.list()).leases).toEqual([renewed]);
  });

  test("release() succeeds when its answer is lost", async () => {
    const lease = await store.claim(subnet, attributes, { ttlMs });
    const lost = proxy.loseAnswer(0);
    await store.release(lease);
    await lost;
    expect(await keys()).toEqual([]);
  });

  test("acquireLease() gets the same subnet again when it gave up a claim that did happen", async () => {
    void proxy.loseAnswer(1).then(() => proxy.refuse());
    await expect(store.claim(subnet, attributes, { ttlMs })).rejects.toMatchObject({
      code: "ERR_STORE_UNAVAILABLE",
    });
    proxy.restore();
    const { lease } = await acquireLease(store, { attributes });
    expect(lease.subnet).toEqual(subnet);
    expect(await keys()).toHaveLength(1);
  });

  test("claim() takes back what an earlier claim did after all when that was given up", async () => {
    void proxy.loseAnswer(1).then(() => proxy.refuse());
    await expect(store.claim(subnet, attributes, { ttlMs })).rejects.toThrow("every etcd member failed");
    expect(await keys()).toHaveLength(1);
    proxy.restore();
    const other = parseSubnetKey("10.5.2.0-24") ?? {};
    await store.claim(other, attributes, { ttlMs });
    expect(await keys()).toEqual([`${prefix}/subnets/10.5.2.0-24`]);
  });

  test("claim() rejects with signal.reason when it is aborted, and a later claim takes it back", async () => {
    proxy.swallow();
    const pending = store.claim(subnet, attributes, { ttlMs, signal: AbortSignal.timeout(50) });
    await expect(pending).rejects.toMatchObject({ name: "TimeoutError" });
    proxy.restore();
    const lease = await store.claim(subnet, attributes, { ttlMs });
    expect((await store.list()).leases).toEqual([lease]);
  });
});
