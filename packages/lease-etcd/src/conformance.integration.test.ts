import { formatLeaseValue, formatSubnetKey } from "@loden/lease";
import { type ConformanceContext, conformanceConfig, leaseStoreConformance } from "@loden/lease/conformance";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, test } from "vitest";
import { openEtcd3Member } from "./etcd3.ts";
import { openEtcdLeaseStore } from "./index.ts";
import { type EtcdCluster, type EtcdClusterOptions, startEtcdCluster } from "./testing.ts";
import { lacksEtcd } from "./testing/lacks-etcd.fixture.ts";

// Longer than a busy machine takes for the calls of one case: time cannot be moved here.
const ttlMs = 5_000;
const user = { username: "root", password: "a secret" };

const etcd3 = { openMember: openEtcd3Member };
const setups: readonly { how: string; options: EtcdClusterOptions; auth?: boolean; client?: object }[] = [
  { how: "a single etcd", options: {} },
  { how: "a single etcd through the client etcd3", options: {}, client: etcd3 },
  { how: "a cluster of 3", options: { size: 3 } },
  {
    how: "a cluster of 3 with TLS, client certificates and a user",
    // Passwords that are cheap to check: each call of etcdctl has one.
    options: { size: 3, tls: "client", flags: ["--bcrypt-cost=4"] },
    auth: true,
  },
];

describe.skipIf(lacksEtcd).each(setups)("$how (needs etcd)", ({ options, auth = false, client = {} }) => {
  let cluster: EtcdCluster;
  let count = 0;
  const login = auth ? [`--user=${user.username}:${user.password}`] : [];

  beforeAll(async () => {
    cluster = await startEtcdCluster(options);
    if (!auth) return;
    await cluster.ctl("user", "add", `${user.username}:${user.password}`);
    await cluster.ctl("user", "grant-role", "root", "root");
    await cluster.ctl("auth", "enable");
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  test.concurrent.for(leaseStoreConformance)("$title", async ({ run }, { expect }) => {
    count += 1;
    const prefix = `/test${count}/network`;
    const put = (key: string, value: string, ...flags: string[]): Promise<string> =>
      cluster.ctl(...login, "put", ...flags, "--", `${prefix}/${key}`, value);
    await put("config", conformanceConfig);
    const context: ConformanceContext = {
      ttlMs,
      open: async () =>
        openEtcdLeaseStore({
          endpoints: cluster.endpoints,
          tls: cluster.tls,
          prefix,
          ...client,
          ...(auth && user),
        }),
      elapse: (ms) => sleep(ms),
      async put(subnet, attributes, ttl) {
        const flags = ttl === undefined ? [] : [`--lease=${await grant(ttl)}`];
        await put(`subnets/${formatSubnetKey(subnet)}`, formatLeaseValue(attributes), ...flags);
      },
      async remove(subnet) {
        await cluster.ctl(...login, "del", `${prefix}/subnets/${formatSubnetKey(subnet)}`);
      },
      async putText(key, value) {
        await put(`subnets/${key}`, value);
      },
    };
    await expect(run(context)).resolves.toBeUndefined();
  });

  // Prints "lease 694d81417acd4754 granted with TTL(2s)".
  async function grant(ttl: number): Promise<string> {
    const said = await cluster.ctl(...login, "lease", "grant", `${Math.ceil(ttl / 1000)}`);
    return said.split(" ")[1] ?? "";
  }
});
