import { type LeaseStore, parseLeaseValue, parseSubnetKey } from "@loden/lease";
import { once } from "node:events";
import { createConnection, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type EtcdLeaseStoreOptions, openEtcdLeaseStore } from "./index.ts";
import { type EtcdCluster, startEtcdCluster, startTcpProxy } from "./testing.ts";
import { lacksEtcd } from "./testing/lacks-etcd.fixture.ts";

const ttlMs = 60_000;
const attributes = parseLeaseValue('{"PublicIP":"192.0.2.1"}');
const subnet = parseSubnetKey("10.5.1.0-24") ?? {};
const secret = "a very secret word";
const rootLogin = `--user=root:${secret}`;

async function use<Result>(
  options: EtcdLeaseStoreOptions,
  run: (store: LeaseStore) => Promise<Result>,
): Promise<Result> {
  await using store = openEtcdLeaseStore({ callTimeoutMs: 1_000, ...options });
  return await run(store);
}

describe.skipIf(lacksEtcd)("users (needs etcd)", () => {
  let cluster: EtcdCluster;
  let options: EtcdLeaseStoreOptions;

  beforeAll(async () => {
    cluster = await startEtcdCluster({ flags: ["--auth-token-ttl=1", "--bcrypt-cost=4"] });
    const { ctl, endpoints } = cluster;
    options = { endpoints, username: "loden", password: secret };
    await ctl("put", "/coreos.com/network/config", '{"Network":"10.5.0.0/16"}');
    await ctl("user", "add", `root:${secret}`);
    await ctl("user", "grant-role", "root", "root");
    await ctl("role", "add", "network");
    await ctl("role", "grant-permission", "network", "readwrite", "--prefix=true", "/coreos.com/network/");
    await ctl("user", "add", `loden:${secret}`);
    await ctl("user", "grant-role", "loden", "network");
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  test("a user and password do no harm when the cluster wants none", async () => {
    const network = await use(options, (store) => store.getNetwork());
    expect(network.ipv4?.network.toString()).toBe("10.5.0.0/16");
    await cluster.ctl("auth", "enable");
  });

  test("getNetwork() rejects with ERR_STORE_DENIED when there is no user", async () => {
    await expect(use({ endpoints: cluster.endpoints }, (store) => store.getNetwork())).rejects.toMatchObject({
      code: "ERR_STORE_DENIED",
    });
  });

  test("errors hold no secret when the password is wrong", async () => {
    const wrong = { ...options, password: "another secret" };
    const error: unknown = await use(wrong, (store) => store.list()).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "ERR_STORE_DENIED" });
    expect(inspect(error, { depth: 10, showHidden: true })).not.toMatch(/secret/);
  });

  test("calls and new watches reject with ERR_STORE_DENIED when the user may not use the prefix", async () => {
    await use({ ...options, prefix: "/other" }, async (store) => {
      const denied = { code: "ERR_STORE_DENIED" };
      await expect(store.list()).rejects.toMatchObject(denied);
      await expect(store.claim(subnet, attributes, { ttlMs })).rejects.toMatchObject(denied);
      await expect(store.watch({ since: "1" })[Symbol.asyncIterator]().next()).rejects.toMatchObject(denied);
    });
  });

  test("calls and new watches go on when the token has expired", async () => {
    const proxy = await startTcpProxy(cluster.endpoints[0] ?? "");
    await use({ ...options, endpoints: [proxy.endpoint] }, async (store) => {
      const events = store.watch()[Symbol.asyncIterator]();
      await events.next();
      let lease = await store.claim(subnet, attributes, { ttlMs });
      expect((await events.next()).value).toMatchObject({ type: "added" });
      // Longer than a token lasts; etcd looks every second.
      await sleep(3_000);
      lease = await store.renew(lease, { ttlMs });
      expect((await events.next()).value).toMatchObject({ type: "updated", lease });
      await sleep(3_000);
      const pending = events.next();
      proxy.cut();
      await cluster.ctl(rootLogin, "del", "/coreos.com/network/subnets/10.5.1.0-24");
      expect((await pending).value).toMatchObject({ type: "removed" });
      await events.return?.();
    });
    await proxy[Symbol.asyncDispose]();
  });

  test("calls go on when every token is lost because etcd restarted", async () => {
    await use({ ...options, callTimeoutMs: 3_000 }, async (store) => {
      await store.list();
      const [member] = cluster.members;
      await member?.signal("SIGKILL");
      member?.start();
      await member?.ready();
      await expect(store.list()).resolves.toMatchObject({ leases: [] });
    });
  });
});

describe.skipIf(lacksEtcd)("TLS (needs etcd)", () => {
  let checksMembers: EtcdCluster;
  let checksClients: EtcdCluster;

  beforeAll(async () => {
    [checksMembers, checksClients] = await Promise.all([
      startEtcdCluster({ tls: "ca" }),
      startEtcdCluster({ tls: "client" }),
    ]);
  });
  afterAll(async () => {
    await checksMembers[Symbol.asyncDispose]();
    await checksClients[Symbol.asyncDispose]();
  });

  test("the authority's certificate alone is enough when the members ask for no more", async () => {
    const { endpoints, tls } = checksMembers;
    expect(Object.keys(tls ?? {})).toEqual(["ca"]);
    await expect(use({ endpoints, tls }, (store) => store.list())).resolves.toMatchObject({ leases: [] });
  });

  test("list() rejects with ERR_STORE_UNAVAILABLE and the reason when the authority is unknown", async () => {
    const { endpoints } = checksMembers;
    const list = use({ endpoints, callTimeoutMs: 300 }, (store) => store.list());
    await expect(list).rejects.toMatchObject({
      code: "ERR_STORE_UNAVAILABLE",
      message: expect.stringMatching(/certificate/),
    });
  });

  test("list() works by the name of a member when its certificate has that name", async () => {
    const { tls } = checksMembers;
    const endpoints = checksMembers.endpoints.map((endpoint) => endpoint.replace("127.0.0.1", "localhost"));
    await expect(use({ endpoints, tls }, (store) => store.list())).resolves.toMatchObject({ leases: [] });
  });

  test("list() rejects with ERR_STORE_UNAVAILABLE and the reason when the certificate has another address", async () => {
    const { endpoints, tls } = checksMembers;
    const { port } = new URL(endpoints[0] ?? "");
    const server = createServer((client) => {
      const member = createConnection(Number(port), "127.0.0.1");
      client.on("error", () => member.destroy()).pipe(member);
      member.on("error", () => client.destroy()).pipe(client);
    });
    await once(server.listen(Number(port), "127.0.0.2"), "listening");
    const list = use({ endpoints: [`https://127.0.0.2:${port}`], tls, callTimeoutMs: 300 }, (store) =>
      store.list(),
    );
    await expect(list).rejects.toMatchObject({
      code: "ERR_STORE_UNAVAILABLE",
      message: expect.stringContaining("127.0.0.2 is not in the cert's list"),
    });
    server.close();
  });

  test("a client certificate is shown when the members ask for one", async () => {
    const { endpoints, tls } = checksClients;
    await expect(use({ endpoints, tls }, (store) => store.list())).resolves.toMatchObject({ leases: [] });
  });

  test("list() rejects with ERR_STORE_UNAVAILABLE when the members want a certificate and get none", async () => {
    const { endpoints, tls } = checksClients;
    const list = use({ endpoints, tls: { ca: tls?.ca }, callTimeoutMs: 300 }, (store) => store.list());
    await expect(list).rejects.toMatchObject({ code: "ERR_STORE_UNAVAILABLE" });
  });
});
