import { spawnSync } from "node:child_process";
import { parsePrefix } from "@loden/ip";
import type { Netns } from "@loden/netns";
import { openRtnetlink } from "@loden/rtnetlink";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { askDaemon } from "./control/control-socket.ts";
import type { Status } from "./control/status.ts";
import { lacksEtcd } from "./testing/lacks-etcd.fixture.ts";
import { DatagramStream, type StreamEnd } from "./testing/datagram-stream.fixture.ts";
import { dumpNetns } from "./testing/dump-netns.fixture.ts";
import { EtcdInNetns } from "./testing/etcd-in-netns.fixture.ts";
import { eventually, LodendFolder, type LodendProcess } from "./testing/lodend-process.fixture.ts";
import { numberHost } from "./testing/number-host.fixture.ts";
import { createTestNetwork, type TestNetwork } from "./testing/test-host.fixture.ts";

// +--------------- switch ---------------+
// | etcd, 192.0.2.254:2379, 2001:db8::fe |
// +---+------------------------------+---+
//     |                              |
// host 1 (.1, ::1)            host 2 (.2, ::2), each with a lodend

const config = { Network: "10.42.0.0/16", EnableIPv6: true, IPv6Network: "fd42::/48" };
const subnets = "/coreos.com/network/subnets/";

describe.skipIf(lacksEtcd).each(["udp", "vxlan", "host-gw"])("lodend with the %s backend", (backend) => {
  let open: AsyncDisposableStack;
  let network: TestNetwork;
  let etcd: EtcdInNetns;
  let folders: readonly [LodendFolder, LodendFolder];
  let hosts: readonly [Netns, Netns];
  const isKernels = backend !== "udp";
  // The udp backend carries packets itself, so they stop with it.
  const ofKernels = isKernels ? [backend] : [];

  beforeEach(async () => {
    open = new AsyncDisposableStack();
    network = open.use(await createTestNetwork(2));
    hosts = network.hosts as unknown as [Netns, Netns];
    for (const [index, netns] of hosts.entries()) {
      using rtnetlink = openRtnetlink({ netns });
      const address = parsePrefix("2001:db8::/64").nth(index + 1);
      await rtnetlink.addresses.add({ link: "eth0", address, prefixLength: 64, duplicateDetection: false });
    }
    etcd = open.use(new EtcdInNetns(network.switch, "192.0.2.254"));
    await etcd.start();
    etcd.ctl("put", "/coreos.com/network/config", JSON.stringify({ ...config, Backend: { Type: backend } }));
    const flags = ["--etcd-endpoints", etcd.endpoint, "--ip-masq", "--ip-blackhole-route"];
    folders = hosts.map((netns) => open.use(new LodendFolder(netns, flags))) as never;
  });

  afterEach(() => open.disposeAsync());

  test("leases both families, tells containers of both, and shows it", async () => {
    const [, second] = await startBoth();
    const { subnet = "", network: whole, backend: type, publicIP, publicIPv6, device } = await statusOf(1);
    expect([whole, type, publicIP, publicIPv6]).toEqual([
      "10.42.0.0/16 fd42::/48",
      backend,
      "192.0.2.2",
      "2001:db8::2",
    ]);
    expect(device).toBe({ udp: "loden0", vxlan: "loden.1 loden-v6.1", "host-gw": undefined }[backend]);
    const [ipv4 = "", ipv6 = ""] = subnet.split(" ");
    const first = (text: string): string => {
      const prefix = parsePrefix(text);
      return `${prefix.nth(1).toString()}/${prefix.length}`;
    };
    const mtu = { udp: 1472, vxlan: 1430, "host-gw": 1500 }[backend];
    expect(folders[1].subnetEnv()).toBe(
      `FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=${first(ipv4)}\nFLANNEL_IPV6_NETWORK=fd42::/48\n` +
        `FLANNEL_IPV6_SUBNET=${first(ipv6)}\nFLANNEL_MTU=${mtu}\nFLANNEL_IPMASQ=true\n`,
    );
    const [key = "", value = ""] = etcd
      .ctl("get", "--prefix", `${subnets}${ipv4.replace("/", "-")}`)
      .split("\n");
    expect(key).toBe(`${subnets}${ipv4.replace("/", "-")}&${ipv6.replace("/", "-")}`);
    expect(value).toMatch(/^\{"PublicIP":"192\.0\.2\.2","PublicIPv6":"2001:db8::2"/);
    expect(await second.stop()).toBe(0);
  });

  test("explain prints what run then programs, and what it prints can be typed in", async () => {
    const [, second] = await startBoth();
    const [, host] = hosts;
    await second.stop();
    const kept = (await folders[1].run("explain")).output;
    for (const verb of ["link add", "route add", "fdb", "neighbour"])
      if (isKernels) expect(kept).not.toMatch(new RegExp(`^(ip|bridge) ${verb}`, "m"));
    await folders[1].run("cleanup");
    const before = await dumpNetns(host);
    const { code, output } = await folders[1].run("explain");
    expect([code, await dumpNetns(host)]).toEqual([0, before]);
    const shell = output.split("\n").filter((line) => /^(ip|bridge|sysctl) /.test(line));
    const words = ["-exc", shell.join("\n")];
    const { status, stderr } = host.run(() => spawnSync("sh", words, { encoding: "utf8" }));
    expect([status, stderr.split("\n").filter((line) => /rror|RTNETLINK|cannot/.test(line))]).toEqual([
      0,
      [],
    ]);
    await folders[1].run("cleanup");
    expect(await dumpNetns(host)).toEqual(before);
  });

  test("cleanup leaves nothing after kill -9, field by field, and nothing of others is gone", async () => {
    const [host] = hosts;
    const foreign = `
      ip link add other0 type veth peer name other1
      ip link set other0 addrgenmode none
      ip link set other1 addrgenmode none
      ip address add 10.99.0.1/24 dev other0
      ip link set other1 up
      ip link set other0 up
      ip route add 10.98.0.0/16 dev other0
      ip neighbour add 10.99.0.7 lladdr 02:00:00:00:00:77 dev other0
      nft add table inet others`;
    expect(host.run(() => spawnSync("sh", ["-ec", foreign], { encoding: "utf8" })).stderr).toBe("");
    await eventually("the others' state stands still", async () => {
      const [one, two] = [await dumpNetns(host), await dumpNetns(host)];
      return JSON.stringify(one) === JSON.stringify(two);
    });
    const before = await dumpNetns(host);
    const [lodend] = await startBoth();
    await lodend.stop("SIGKILL");
    await eventually("the device of a dead process is gone", async () => {
      using rtnetlink = openRtnetlink({ netns: host });
      return backend !== "udp" || (await rtnetlink.links.get("loden0")) === undefined;
    });
    const left = await dumpNetns(host);
    expect(left).not.toEqual(before);
    const { code, output } = await folders[0].run("cleanup");
    expect([code, output]).toEqual([0, expect.stringContaining("removed ")]);
    expect(await dumpNetns(host)).toEqual(before);
    expect((await folders[0].run("cleanup")).output).toBe("there was nothing to remove\n");
  });

  test.each(ofKernels)("%s: stops and starts without the loss of a packet", async () => {
    const [first] = await startBoth();
    const stream = open.use(new DatagramStream(...(await numberBoth())));
    await eventually("datagrams flow", () => stream.sent > 50 && stream.missing(50, stream.sent).length < 5);
    const from = stream.sent;
    expect(await first.stop()).toBe(0);
    await folders[0].start("run").says("ready");
    await eventually("the peer is known again", async () => (await statusOf(0)).peers.length === 1);
    const end = stream.sent;
    expect(end - from).toBeGreaterThan(50);
    await expect.poll(() => stream.missing(from, end)).toEqual([]);
  });

  test.each(ofKernels)(
    "%s: forgets what changed while it was down: a peer that is gone, one that moved",
    async () => {
      const [first, second] = await startBoth();
      const [own, status] = [await statusOf(0), await statusOf(1)];
      const routes = async (): Promise<string[]> => {
        using rtnetlink = openRtnetlink({ netns: hosts[0] });
        const listed = await rtnetlink.routes.list({ protocol: 76 });
        return listed
          .filter(({ type }) => type === "unicast")
          .map(({ destination }) => destination.toString());
      };
      const peers = status.subnet?.split(" ") ?? [];
      expect(await routes()).toEqual(expect.arrayContaining(peers));
      // Hosts draw their subnets: one of three is neither's.
      const number = [200, 201, 202].find(
        (free) => ![own, status].some(({ subnet }) => subnet?.startsWith(`10.42.${free}.0/24 `)),
      );
      await first.stop();
      await second.stop();
      const key = `${subnets}${peers.map((text) => text.replace("/", "-")).join("&")}`;
      const value = etcd.ctl("get", "--print-value-only", key);
      etcd.ctl("del", key);
      const moved = `${subnets}10.42.${number}.0-24&fd42:0:0:${number}::-64`;
      etcd.ctl(
        "put",
        moved,
        value.replaceAll("192.0.2.2", "192.0.2.77").replaceAll("2001:db8::2", "2001:db8::77"),
      );
      await folders[0].start("run").says("ready");
      await eventually("the moved peer is there alone", async () => {
        const now = await routes();
        return (
          now.length === 2 && now.includes(`10.42.${number}.0/24`) && now.includes(`fd42:0:0:${number}::/64`)
        );
      });
      // What is on the devices goes after the routes.
      const gone = [...peers, "192.0.2.2", "2001:db8::2"];
      const left = async (): Promise<string[]> => {
        const dump = JSON.stringify(await dumpNetns(hosts[0]));
        return gone.filter((text) => dump.includes(`"${text}"`));
      };
      await expect.poll(left).toEqual([]);
    },
  );

  async function startBoth(): Promise<[LodendProcess, LodendProcess]> {
    const daemons = folders.map((folder) => folder.start("run")) as [LodendProcess, LodendProcess];
    for (const lodend of daemons) await lodend.says("ready");
    for (const index of [0, 1] as const)
      await eventually("each knows the other", async () => (await statusOf(index)).peers.length === 1);
    return daemons;
  }

  async function numberBoth(): Promise<[StreamEnd, StreamEnd]> {
    return [await numberHost(hosts[0], await statusOf(0)), await numberHost(hosts[1], await statusOf(1))];
  }

  async function statusOf(index: 0 | 1): Promise<Status> {
    return JSON.parse((await askDaemon(folders[index].controlSocket, "/status")) ?? "") as Status;
  }
});
