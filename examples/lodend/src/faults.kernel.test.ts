import { setTimeout as sleep } from "node:timers/promises";
import { parseAddress } from "@loden/ip";
import { type EtcdCluster, startEtcdCluster } from "@loden/lease-etcd/testing";
import { currentNetns, type Netns } from "@loden/netns";
import { openRtnetlink } from "@loden/rtnetlink";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { askDaemon } from "./control/control-socket.ts";
import type { Status } from "./control/status.ts";
import { lacksEtcd } from "./testing/lacks-etcd.fixture.ts";
import { DatagramStream, type StreamEnd } from "./testing/datagram-stream.fixture.ts";
import { eventually, LodendFolder } from "./testing/lodend-process.fixture.ts";
import { numberHost } from "./testing/number-host.fixture.ts";
import { createTestNetwork, type TestNetwork } from "./testing/test-host.fixture.ts";

//        +----------------------- switch -----------------------+
//        |          |          |          |          |          |
//     host 1     host 2     etcd 1     etcd 2     etcd 3     this test
//       .1         .2         .3         .4         .5         .253
//   lodend, and a stream of datagrams each way between their subnets
describe.skipIf(lacksEtcd)("faults of etcd's members", () => {
  const timeout = 120_000;
  let open: AsyncDisposableStack;
  let network: TestNetwork;
  let cluster: EtcdCluster;
  let folders: readonly LodendFolder[];
  let before: readonly Status[];
  let streams: readonly DatagramStream[];

  beforeAll(async () => {
    open = new AsyncDisposableStack();
    network = open.use(await createTestNetwork(5));
    open.use(await plugIn(network.switch));
    cluster = open.use(
      await startEtcdCluster({
        hosts: network.hosts.slice(2).map((netns, index) => ({
          address: `192.0.2.${index + 3}`,
          command: ["nsenter", `--net=/proc/${process.pid}/fd/${netns.fd}`],
        })),
      }),
    );
    await cluster.ctl("put", "/coreos.com/network/config", '{"Network":"10.42.0.0/16"}');
    // Short enough for renewals to fall into faults; longer than any of them, or leases would rightly end.
    const flags = ["--etcd-endpoints", cluster.endpoints.join(), "--subnet-lease-ttl=45s"];
    folders = hosts().map((netns) => open.use(new LodendFolder(netns, flags)));
    const daemons = folders.map((folder) => folder.start("run"));
    for (const lodend of daemons) await lodend.says("ready");
    await areWell();
    before = await statuses();
    const ends = await Promise.all(hosts().map((netns, index) => numberHost(netns, before[index] as Status)));
    const [first, second] = ends as [StreamEnd, StreamEnd];
    streams = [open.use(new DatagramStream(first, second)), open.use(new DatagramStream(second, first))];
    // The hosts find each other's hardware addresses first.
    await eventually("datagrams flow", () => {
      return streams.every((stream) => stream.sent > 50 && stream.missing(50, stream.sent).length < 10);
    });
  });
  afterAll(() => open.disposeAsync());

  test("no datagram is lost while each member is killed in turn", { timeout }, async () => {
    for (const member of cluster.members) {
      await expectNoLoss(
        () => member.signal("SIGKILL"),
        () => {
          member.start();
          return member.ready();
        },
      );
    }
  });

  test("no datagram is lost while each member stands still in turn", { timeout }, async () => {
    for (const member of cluster.members) {
      await expectNoLoss(
        () => member.signal("SIGSTOP"),
        () => member.signal("SIGCONT"),
      );
    }
  });

  test("no datagram is lost while each member is cut off in turn", { timeout }, async () => {
    for (const number of [3, 4, 5]) {
      await expectNoLoss(
        () => setPort(number, false),
        () => setPort(number, true),
      );
    }
  });

  test("no datagram is lost while all members are restarted", { timeout }, async () => {
    await expectNoLoss(
      () => Promise.all(cluster.members.map((member) => member.signal("SIGKILL"))),
      () => {
        for (const member of cluster.members) member.start();
        return Promise.all(cluster.members.map((member) => member.ready()));
      },
    );
  });

  test(
    "no datagram is lost while history is compacted and all members are cut off",
    { timeout },
    async () => {
      await expectNoLoss(
        async () => {
          for (const number of [3, 4, 5]) await setPort(number, false);
        },
        async () => {
          for (const number of [3, 4, 5]) await setPort(number, true);
          const status = await cluster.ctl("get", "nothing", "--write-out=json");
          await cluster.ctl("compact", /"revision":(\d+)/.exec(status)?.[1] ?? "");
        },
      );
    },
  );

  /** Hosts are ready again within a minute, know each other, have kept their subnets; and every datagram has arrived. */
  async function expectNoLoss(fault: () => Promise<unknown>, heal: () => Promise<unknown>): Promise<void> {
    const first = streams.map(({ sent }) => sent);
    await fault();
    await sleep(4_000);
    await heal();
    await areWell();
    const end = streams.map(({ sent }) => sent);
    const lost = (): unknown =>
      streams.map((stream, index) => stream.missing(first[index] ?? 0, end[index] ?? 0));
    await expect.poll(lost).toEqual([[], []]);
    // There was something to lose.
    for (const [index, sent] of end.entries()) expect(sent - (first[index] ?? 0)).toBeGreaterThan(100);
    expect((await statuses()).map(({ subnet }) => subnet)).toEqual(before.map(({ subnet }) => subnet));
  }

  async function areWell(): Promise<void> {
    const isWell = ({ ready, peers, peersAreFresh }: Status): boolean => {
      return ready && peersAreFresh && peers.length === 1;
    };
    await eventually("both hosts are ready", async () => (await statuses()).every(isWell), 60_000);
  }

  function hosts(): readonly Netns[] {
    return network.hosts.slice(0, 2);
  }

  async function statuses(): Promise<Status[]> {
    return Promise.all(
      folders.map(async ({ controlSocket }) => {
        return JSON.parse((await askDaemon(controlSocket, "/status")) ?? "") as Status;
      }),
    );
  }

  async function setPort(number: number, up: boolean): Promise<void> {
    using rtnetlink = openRtnetlink({ netns: network.switch });
    await rtnetlink.links.set(`port${number}`, { up });
  }
});

/** Connects this process's own namespace, that of the kernel tests, with the switch. */
async function plugIn(center: Netns): Promise<AsyncDisposable> {
  using here = currentNetns();
  using there = openRtnetlink({ netns: center });
  const quiet = { addrGenMode: "none" } as const;
  const peer = { name: "loden-test", netns: here, ...quiet };
  await there.links.add({ name: "tester", kind: "veth", ...quiet, peer });
  await there.links.set("tester", { master: "switch", up: true });
  using own = openRtnetlink({ netns: here });
  await own.addresses.add({ link: peer.name, address: parseAddress("192.0.2.253"), prefixLength: 24 });
  await own.links.set(peer.name, { up: true });
  return {
    async [Symbol.asyncDispose]() {
      using rtnetlink = openRtnetlink();
      await rtnetlink.links.delete(peer.name);
    },
  };
}
