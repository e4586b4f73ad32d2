import { acquireLease, type LeaseStore, parseLeaseValue, parseSubnetKey } from "@loden/lease";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openEtcdLeaseStore } from "./index.ts";
import { type EtcdCluster, startEtcdCluster } from "./testing.ts";
import { lacksEtcd } from "./testing/lacks-etcd.fixture.ts";

const ttlMs = 86_400_000;

describe.skipIf(lacksEtcd)("what etcd holds (needs etcd)", () => {
  let cluster: EtcdCluster;
  let store: LeaseStore;

  beforeAll(async () => {
    cluster = await startEtcdCluster();
  });
  afterAll(() => cluster[Symbol.asyncDispose]());
  beforeEach(() => {
    store = openEtcdLeaseStore({ endpoints: cluster.endpoints });
  });
  afterEach(async () => {
    await store.close();
    await cluster.ctl("del", "", "--prefix");
  });

  // As flannel writes them.
  test.each([
    ["10.5.1.0-24", '{"PublicIP":"1.2.3.4","PublicIPv6":null}'],
    ["10.5.2.0-24", '{"PublicIP":"1.2.3.4","PublicIPv6":null,"BackendType":"host-gw"}'],
    [
      "10.5.3.0-24",
      '{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}',
    ],
    [
      "10.12.13.0-24&fd00:12:13::-56",
      '{"PublicIP":"192.168.64.3","PublicIPv6":"fd00::3","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"},"BackendV6Data":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:45"}}',
    ],
  ])("claim() and renew() write %s byte for byte", async (key, value) => {
    const lease = await store.claim(parseSubnetKey(key) ?? {}, parseLeaseValue(value), { ttlMs });
    const get = (): Promise<string> => cluster.ctl("get", "/coreos.com/network/subnets", "--prefix");
    expect(await get()).toBe(`/coreos.com/network/subnets/${key}\n${value}\n`);
    await store.renew(lease, { ttlMs });
    expect(await get()).toBe(`/coreos.com/network/subnets/${key}\n${value}\n`);
  });

  test("claim(), renew() and release() leave no etcd lease without a key behind", async () => {
    const others = await countLeases(cluster);
    const lease = await store.claim(parseSubnetKey("10.5.1.0-24") ?? {}, parseLeaseValue("{}"), { ttlMs });
    const renewed = await store.renew(lease, { ttlMs });
    await expect.poll(() => countLeases(cluster)).toBe(others + 1);
    await expect(store.claim(lease.subnet, lease.attributes, { ttlMs })).rejects.toThrow("is taken");
    await expect(store.renew(lease, { ttlMs })).rejects.toThrow("the store holds");
    await expect.poll(() => countLeases(cluster)).toBe(others + 1);
    await store.release(renewed);
    await expect.poll(() => countLeases(cluster)).toBe(others);
  });

  test("renew() leaves the etcd lease of others alone, which may have more keys", async () => {
    const { ctl } = cluster;
    const said = await ctl("lease", "grant", "600");
    const flag = `--lease=${said.split(" ")[1] ?? ""}`;
    await ctl("put", flag, "/coreos.com/network/subnets/10.5.1.0-24", '{"PublicIP":"1.2.3.4"}');
    await ctl("put", flag, "/something/else", "kept");
    const [lease] = (await store.list()).leases;
    if (lease === undefined) throw new Error("the lease is missing");
    await store.release(await store.renew(lease, { ttlMs }));
    expect(await ctl("get", "--print-value-only", "/something/else")).toBe("kept\n");
  });

  test("getNetwork() rejects with ERR_NETWORK_CONFIG_MISSING until there is a config", async () => {
    const key = "/coreos.com/network/config";
    await expect(store.getNetwork()).rejects.toMatchObject({ code: "ERR_NETWORK_CONFIG_MISSING", key });
    await cluster.ctl("put", key, '{"Network":"10.5.0.0/16"}');
    await expect(store.getNetwork()).resolves.toMatchObject({ enableIPv4: true });
  });

  test("acquireLease() takes four calls to etcd", async () => {
    await cluster.ctl("put", "/coreos.com/network/config", '{"Network":"10.5.0.0/16"}');
    const before = await countCalls(cluster);
    await acquireLease(store, { attributes: parseLeaseValue('{"PublicIP":"1.2.3.4"}') });
    expect((await countCalls(cluster)) - before).toBe(4);
  });

  test("expiresAt is the same for every host that lists, and within 24 hours for a flannel host's lease", async () => {
    const lease = await store.claim(parseSubnetKey("10.5.1.0-24") ?? {}, parseLeaseValue("{}"), {
      ttlMs: 90_000,
    });
    await using other = openEtcdLeaseStore({ endpoints: cluster.endpoints });
    expect((await other.list()).leases).toEqual([lease]);
    expect(Math.abs((lease.expiresAt ?? 0) - Date.now() - 90_000)).toBeLessThan(10_000);
    const said = await cluster.ctl("lease", "grant", "600");
    const flag = `--lease=${said.split(" ")[1] ?? ""}`;
    await cluster.ctl("put", flag, "/coreos.com/network/subnets/10.5.1.0-24", '{"PublicIP":"1.2.3.4"}');
    const [foreign] = (await other.list()).leases;
    expect((foreign?.expiresAt ?? 0) - Date.now()).toBeLessThanOrEqual(ttlMs);
  });
});

describe.skipIf(lacksEtcd)("a full store (needs etcd)", () => {
  test("writes reject with the reason and watches go on when etcd is full, until it has room again", async () => {
    await using cluster = await startEtcdCluster({ flags: ["--quota-backend-bytes=2000000"] });
    await using store = openEtcdLeaseStore({ endpoints: cluster.endpoints, callTimeoutMs: 200 });
    const claim = (number: number): ReturnType<LeaseStore["claim"]> =>
      store.claim(parseSubnetKey(`10.5.${number}.0-24`) ?? {}, parseLeaseValue("{}"), { ttlMs });
    const lease = await claim(1);
    const events = store.watch()[Symbol.asyncIterator]();
    await events.next();
    await fillUp(cluster);
    await expect(claim(2)).rejects.toMatchObject({
      code: "ERR_STORE_UNAVAILABLE",
      message: expect.stringContaining("database space exceeded"),
    });
    expect((await store.list()).leases).toEqual([lease]);
    await store.release(lease);
    expect((await events.next()).value).toMatchObject({ type: "removed" });

    await cluster.ctl("del", "filler", "--prefix");
    const status = await cluster.ctl("get", "nothing", "--write-out=json");
    await cluster.ctl("compact", /"revision":(\d+)/.exec(status)?.[1] ?? "");
    await cluster.ctl("defrag");
    await cluster.ctl("alarm", "disarm");
    const claimed = await claim(2);
    expect((await events.next()).value).toMatchObject({ type: "added", lease: claimed });
    await events.return?.();
  });
});

async function fillUp({ ctl }: EtcdCluster): Promise<void> {
  for (let number = 0; number < 100; number += 1) {
    try {
      await ctl("put", `filler${number}`, "x".repeat(100_000));
    } catch {
      return;
    }
  }
  throw new Error("etcd is not full");
}

async function countLeases({ ctl }: EtcdCluster): Promise<number> {
  return Number(/found (\d+) leases/.exec(await ctl("lease", "list"))?.[1]);
}

async function countCalls({ members }: EtcdCluster): Promise<number> {
  const text = await (await fetch(`${members[0]?.healthUrl}/metrics`)).text();
  const counts = text.matchAll(/^grpc_server_started_total\{.*grpc_type="unary"\} (\d+)$/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}
