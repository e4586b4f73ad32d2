import { lacksTcx } from "@loden/bpf/testing";
import { spawnSync } from "node:child_process";
import type { Netns } from "@loden/netns";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { askDaemon } from "./control/control-socket.ts";
import type { Status } from "./control/status.ts";
import { DatagramStream, type StreamEnd } from "./testing/datagram-stream.fixture.ts";
import { EtcdInNetns } from "./testing/etcd-in-netns.fixture.ts";
import { lacksEtcd } from "./testing/lacks-etcd.fixture.ts";
import { eventually, LodendFolder, type LodendProcess } from "./testing/lodend-process.fixture.ts";
import { numberHost } from "./testing/number-host.fixture.ts";
import { createTestNetwork, type TestNetwork } from "./testing/test-host.fixture.ts";

// +------- switch, etcd --------+
// +---+---------------------+---+
//     | veth                | veth
// host 1 (.1)           host 2 (.2), each with a lodend

const config = '{"Network":"10.42.0.0/16","Backend":{"Type":"udp"}}';
const on = { on: true, decapsulates: "all", encapsulatesFor: "able" };
const subnets = "/coreos.com/network/subnets/";
/** How many datagrams in each direction a look at the pumps takes. */
const DATAGRAMS = 40;

describe.skipIf(lacksEtcd || lacksTcx)("lodend --kernel-path", () => {
  let open: AsyncDisposableStack;
  let etcd: EtcdInNetns;
  let folders: readonly [LodendFolder, LodendFolder];
  let hosts: readonly [Netns, Netns];

  beforeEach(async () => {
    open = new AsyncDisposableStack();
    const network: TestNetwork = open.use(await createTestNetwork(2));
    hosts = network.hosts as unknown as [Netns, Netns];
    etcd = open.use(new EtcdInNetns(network.switch, "192.0.2.254"));
    await etcd.start();
    etcd.ctl("put", "/coreos.com/network/config", config);
    const flags = ["--etcd-endpoints", etcd.endpoint];
    folders = hosts.map((netns) => open.use(new LodendFolder(netns, flags))) as never;
  });

  afterEach(() => open.disposeAsync());

  test("auto: datagrams cross both ways, and no pump wakes", async () => {
    await startBoth();
    expect([(await statusOf(0)).kernelPath, (await statusOf(1)).kernelPath]).toEqual([on, on]);
    const streams = openStreams(await numberBoth());
    // The device greets the network now and then, which is the pump's to drop.
    await eventually("datagrams cross while both pumps sleep", async () => {
      const woken = await wakenings(streams);
      return woken[0] === 0 && woken[1] === 0;
    });
    await eventually("the kernel's packets are counted", async () => {
      const { inbound, outbound } = (await statusOf(0)).traffic ?? {};
      return (inbound?.packets ?? 0) >= DATAGRAMS && (outbound?.packets ?? 0) >= DATAGRAMS;
    });
  });

  test("off: datagrams cross through the pump, to and from a host whose kernel passes them on", async () => {
    await startBoth(["--kernel-path=off"]);
    const { kernelPath } = await statusOf(1);
    expect([(await statusOf(0)).kernelPath, kernelPath]).toEqual([
      on,
      { on: false, reason: "it is switched off" },
    ]);
    expect([await leaseOf(0), await leaseOf(1)]).toEqual([
      '{"PublicIP":"192.0.2.1","PublicIPv6":null,"BackendData":{"Decapsulates":"all"}}',
      '{"PublicIP":"192.0.2.2","PublicIPv6":null}',
    ]);
    const streams = openStreams(await numberBoth());
    // The first host sends to nobody's kernel here: its pump wakes for that, the other's for both ways.
    await eventually("datagrams cross while both pumps wake", async () => {
      const woken = await wakenings(streams);
      return woken[0] > 0 && woken[1] > 0;
    });
  });

  test("the lease says at once what the kernel takes, on the same subnet after a restart, and nothing after one with off", async () => {
    const [first] = await startBoth();
    const { subnet } = await statusOf(0);
    const able = await leaseOf(0);
    expect(able).toContain('"BackendData":{"Decapsulates":"all"}');
    await first.stop();
    const again = folders[0].start("run");
    await again.says("published what changed in the lease");
    expect([await leaseOf(0), (await statusOf(0)).subnet]).toEqual([able, subnet]);
    await again.stop("SIGKILL");
    const off = folders[0].start("run", ["--kernel-path=off"]);
    await off.says("ready");
    expect((await statusOf(0)).subnet).toBe(subnet);
    expect(await leaseOf(0)).not.toContain("BackendData");
    expect(off.lines("published what changed in the lease")).toEqual([]);
  });

  test("the lease and status follow what changes on the host", async () => {
    const [lodend] = await startBoth();
    const run = (...words: [string, ...string[]]): void => {
      const [program, ...rest] = words;
      expect(hosts[0].run(() => spawnSync(program, rest, { encoding: "utf8" })).stderr).toBe("");
    };
    const published = "published what changed in the lease";
    const before = lodend.lines(published).length;
    run("ethtool", "-K", "eth0", "gro", "on");
    await lodend.says(published, before + 1);
    expect(await leaseOf(0)).toContain('"BackendData":{"Decapsulates":"acks"}');
    run("ip", "xfrm", "policy", "add", "src", "198.51.100.0/24", "dst", "203.0.113.0/24", "dir", "out");
    await lodend.says(published, before + 2);
    expect(await leaseOf(0)).not.toContain("BackendData");
    expect((await folders[0].run("status")).output).toContain(
      "  packets   all through this process: there are IPsec policies",
    );
    run("ip", "xfrm", "policy", "flush");
    await lodend.says(published, before + 3);
    expect(await leaseOf(0)).toContain('"BackendData":{"Decapsulates":"acks"}');
    expect(lodend.lines("backend: kernel path changed").map(({ level }) => level)).toEqual(
      Array.from({ length: 4 }, () => "info"),
    );
  });

  /** Starts both, the second with the flags. */
  async function startBoth(flags: readonly string[] = []): Promise<[LodendProcess, LodendProcess]> {
    const daemons = [folders[0].start("run"), folders[1].start("run", flags)] as const;
    for (const lodend of daemons) await lodend.says("ready");
    for (const index of [0, 1] as const) {
      await eventually("each knows the other", async () => (await statusOf(index)).peers.length === 1);
      if ((await statusOf(index)).kernelPath?.on === true)
        await daemons[index].says("published what changed in the lease");
    }
    return [...daemons];
  }

  async function numberBoth(): Promise<[StreamEnd, StreamEnd]> {
    return [await numberHost(hosts[0], await statusOf(0)), await numberHost(hosts[1], await statusOf(1))];
  }

  function openStreams([a, b]: [StreamEnd, StreamEnd]): readonly [DatagramStream, DatagramStream] {
    return [open.use(new DatagramStream(a, b)), open.use(new DatagramStream(b, a))];
  }

  /** How often each pump was woken while datagrams crossed in both directions. */
  async function wakenings(streams: readonly DatagramStream[]): Promise<[number, number]> {
    const before = [await wakeups(0), await wakeups(1)] as const;
    const starts = streams.map(({ sent }) => sent);
    await expect.poll(() => streams.every(({ sent }, i) => sent >= (starts[i] ?? 0) + DATAGRAMS)).toBe(true);
    const ends = streams.map(({ sent }) => sent);
    await expect
      .poll(() => streams.flatMap((stream, i) => stream.missing(starts[i] ?? 0, ends[i] ?? 0)))
      .toEqual([]);
    return [(await wakeups(0)) - before[0], (await wakeups(1)) - before[1]];
  }

  async function wakeups(index: 0 | 1): Promise<number> {
    const metrics = (await askDaemon(folders[index].controlSocket, "/metrics")) ?? "";
    return Number(/^loden_pump_wakeups_total (\d+)$/m.exec(metrics)?.[1]);
  }

  /** The value of a host's lease, as every host of the network reads it. */
  async function leaseOf(index: 0 | 1): Promise<string> {
    const { subnet = "" } = await statusOf(index);
    return etcd.ctl("get", "--print-value-only", `${subnets}${subnet.replace("/", "-")}`);
  }

  async function statusOf(index: 0 | 1): Promise<Status> {
    return JSON.parse((await askDaemon(folders[index].controlSocket, "/status")) ?? "") as Status;
  }
});

test.skipIf(lacksTcx)(
  "lodend needs CAP_NET_ADMIN and CAP_BPF alone for the kernel path, and publishes it over any store",
  async () => {
    using network = await createTestNetwork(1);
    using folder = new LodendFolder(network.hosts[0] as Netns, [], { config });
    const sets = ["--bounding-set", "-all,+net_admin,+bpf", "--inh-caps", "-all,+net_admin,+bpf"];
    const lodend = folder.start("run", [], { wrapper: ["setpriv", ...sets] });
    expect(await lodend.says("published what changed in the lease")).toMatchObject({
      backendData: { Decapsulates: "all" },
    });
    const status = JSON.parse((await askDaemon(folder.controlSocket, "/status")) ?? "") as Status;
    expect(status.kernelPath).toEqual(on);
    expect(await lodend.stop()).toBe(0);
  },
);
