import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { type EtcdLeaseStoreOptions, openEtcdLeaseStore } from "./index.ts";
import { type EtcdCluster, startEtcdCluster, startTcpProxy, type TcpProxy } from "./testing.ts";
import { allWell, BusyOverlay } from "./testing/busy-overlay.fixture.ts";
import { lacksEtcd } from "./testing/lacks-etcd.fixture.ts";

// Between hosts and members: connections that break at the worst moment, history that is gone, tokens that expire.
//
//   host 1, follower 1 --- proxy 1 --- etcd 1
//                     \ /         ...         each store begins with the proxy of its number
describe.skipIf(lacksEtcd)("faults between (needs etcd)", () => {
  const timeout = 180_000;
  let open: AsyncDisposableStack;
  let cluster: EtcdCluster;
  let proxies: TcpProxy[];
  let overlay: BusyOverlay;

  async function start(
    options: Partial<EtcdLeaseStoreOptions> = {},
    login: readonly string[] = [],
  ): Promise<void> {
    proxies = [];
    for (const endpoint of cluster.endpoints) proxies.push(open.use(await startTcpProxy(endpoint)));
    const endpoints = proxies.map(({ endpoint }) => endpoint);
    overlay = new BusyOverlay(
      cluster,
      (index) => openEtcdLeaseStore({ endpoints, random: startingAt(index), ...options }),
      login,
    );
    open.defer(() => overlay.close());
  }

  afterEach(() => open.disposeAsync());

  test(
    "every follower is right again when answers were lost after etcd had done what was asked",
    { timeout },
    async () => {
      open = new AsyncDisposableStack();
      cluster = open.use(await startEtcdCluster({ size: 3 }));
      await start();
      await overlay.progress();
      for (let round = 0; round < 30; round += 1) {
        // One member after the other; the answer to a grant, a transaction, a list.
        await proxies[round % 3]?.loseAnswer(round % 7);
      }
      await overlay.progress();
      await expect(overlay.settle()).resolves.toEqual(allWell);
    },
  );

  test(
    "every follower is right again when history was compacted while all were disconnected",
    { timeout },
    async () => {
      open = new AsyncDisposableStack();
      cluster = open.use(await startEtcdCluster({ size: 3 }));
      await start();
      for (let round = 0; round < 3; round += 1) {
        await overlay.progress();
        for (const proxy of proxies) proxy.refuse();
        // What a host wrote and nobody was told of; an operator's write; and then nobody can be told any more.
        await cluster.ctl(
          "put",
          "/coreos.com/network/subnets/10.5.99.0-24",
          `{"PublicIP":"192.0.2.${90 + round}"}`,
        );
        const status = await cluster.ctl("get", "nothing", "--write-out=json");
        await cluster.ctl("compact", /"revision":(\d+)/.exec(status)?.[1] ?? "");
        for (const proxy of proxies) proxy.restore();
      }
      await overlay.progress();
      await expect(overlay.settle()).resolves.toEqual(allWell);
    },
  );

  test("every follower is right again when tokens expired again and again", { timeout }, async () => {
    open = new AsyncDisposableStack();
    const [username, password] = ["root", "a secret"];
    const login = [`--user=${username}:${password}`];
    cluster = open.use(await startEtcdCluster({ size: 3, flags: ["--auth-token-ttl=1", "--bcrypt-cost=4"] }));
    await cluster.ctl("user", "add", `${username}:${password}`);
    await cluster.ctl("user", "grant-role", "root", "root");
    await cluster.ctl("auth", "enable");
    await start({ username, password }, login);
    for (let round = 0; round < 3; round += 1) {
      await overlay.progress();
      // Longer than a token lasts where nobody uses it; then new watches and calls have to begin with it.
      for (const proxy of proxies) proxy.swallow();
      await sleep(3_000);
      for (const proxy of proxies) proxy.restore();
    }
    await overlay.progress();
    await expect(overlay.settle()).resolves.toEqual(allWell);
  });
});

/** Makes a store begin with that member; later choices are random. */
function startingAt(index: number): () => number {
  let isFirst = true;
  return () => {
    if (!isFirst) return Math.random();
    isFirst = false;
    return (index + 0.5) / 3;
  };
}
