import { parseAddress } from "@loden/ip";
import { KernelError } from "@loden/linux";
import type { Netns } from "@loden/netns";
import { openRtnetlink, type Rtnetlink } from "@loden/rtnetlink";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { askDaemon } from "./control/control-socket.ts";
import type { Status } from "./control/status.ts";
import { lacksEtcd } from "./testing/lacks-etcd.fixture.ts";
import { DatagramStream } from "./testing/datagram-stream.fixture.ts";
import { EtcdInNetns } from "./testing/etcd-in-netns.fixture.ts";
import { eventually, LodendFolder, type LodendProcess } from "./testing/lodend-process.fixture.ts";
import { numberHost } from "./testing/number-host.fixture.ts";
import { createTestNetwork, type TestNetwork } from "./testing/test-host.fixture.ts";

// +-------- switch --------+
// | etcd, 192.0.2.254:2379 |
// +---+----------------+---+
//     |                |
// host 1 (.1)      host 2 (.2), each with a lodend, and a stream of datagrams each way between their subnets

describe.skipIf(lacksEtcd).each([
  ["udp", 28],
  ["vxlan", 50],
  ["host-gw", 0],
] as const)("lodend with the %s backend follows the interface between hosts", (backend, overhead) => {
  let open: AsyncDisposableStack;
  let network: TestNetwork;
  let etcd: EtcdInNetns;
  let folders: readonly LodendFolder[];
  let first: LodendProcess;
  let streams: readonly DatagramStream[];
  let eth0: Rtnetlink;
  let before: Status;

  beforeEach(async () => {
    open = new AsyncDisposableStack();
    network = open.use(await createTestNetwork(2));
    etcd = open.use(new EtcdInNetns(network.switch, "192.0.2.254"));
    await etcd.start();
    const config = { Network: "10.42.0.0/16", Backend: { Type: backend } };
    etcd.ctl("put", "/coreos.com/network/config", JSON.stringify(config));
    folders = network.hosts.map((netns) => {
      return open.use(new LodendFolder(netns, ["--etcd-endpoints", etcd.endpoint]));
    });
    const daemons = folders.map((folder) => folder.start("run"));
    [first] = daemons as [LodendProcess];
    for (const lodend of daemons) await lodend.says("ready");
    const statuses = await Promise.all(folders.map(statusOf));
    before = statuses[0] as Status;
    const [a, b] = await Promise.all(
      network.hosts.map((netns, index) => numberHost(netns, statuses[index] as Status)),
    );
    if (a === undefined || b === undefined) throw new Error("There are two hosts");
    streams = [open.use(new DatagramStream(a, b)), open.use(new DatagramStream(b, a))];
    eth0 = open.use(openRtnetlink({ netns: network.hosts[0] as Netns }));
    await trafficFlows();
  });

  afterEach(() => open.disposeAsync());

  test("its MTU: device and subnet.env have it at once, and the lease stays", async () => {
    const lease = leaseText();
    for (const mtu of [1300, 1500]) {
      await eth0.links.set("eth0", { mtu });
      await eventually("subnet.env has the MTU", () => {
        return (folders[0] as LodendFolder).subnetEnv().includes(`FLANNEL_MTU=${mtu - overhead}\n`);
      });
      const { mtu: reported, device = "" } = await statusOf(folders[0] as LodendFolder);
      expect(reported).toBe(mtu - overhead);
      if (device !== "") expect((await eth0.links.get(device))?.mtu).toBe(mtu - overhead);
      await trafficFlows();
    }
    expect(first.lines("subnet.env has another MTU now; containers that run keep theirs")).toMatchObject([
      { before: 1500 - overhead, mtu: 1300 - overhead },
      { before: 1300 - overhead, mtu: 1500 - overhead },
    ]);
    expect(leaseText()).toBe(lease);
  });

  test("its address: the lease is published again on the same subnet, and the peer follows", async () => {
    const old = (await eth0.addresses.list()).filter(({ link }) => link === "eth0");
    for (const address of old) await eth0.addresses.delete(address);
    expect(await first.says("the interface between hosts carries nothing now")).toMatchObject({
      reason: expect.stringContaining("no usable IPv4 address"),
    });
    await eth0.addresses.add({ link: "eth0", address: parseAddress("192.0.2.51"), prefixLength: 24 });
    await eventually("the lease is published with the address", () =>
      first.lines("published what changed in the lease").some(({ publicIP }) => publicIP === "192.0.2.51"),
    );
    expect(leaseText()).toContain('"PublicIP":"192.0.2.51"');
    await eventually("the peer knows the address", async () => {
      const { peers } = await statusOf(folders[1] as LodendFolder);
      return peers.length === 1 && peers[0]?.publicIP === "192.0.2.51";
    });
    await trafficFlows();
    await isReadyAsBefore({ publicIP: "192.0.2.51" });
  });

  test("a flap: traffic goes on when it is up again", async () => {
    await eth0.links.set("eth0", { up: false });
    await first.says("the interface between hosts carries nothing now");
    expect((await statusOf(folders[0] as LodendFolder)).problems).toContain("interface eth0 is down");
    await eth0.links.set("eth0", { up: true });
    await first.says("followed a change of the interface between hosts");
    await trafficFlows();
    await isReadyAsBefore();
  });

  test("another name: traffic goes on over it", async () => {
    await eth0.links.set("eth0", { up: false });
    await eth0.links.set("eth0", { name: "lan0" });
    await eth0.links.set("lan0", { up: true });
    expect(await first.says("followed a change of the interface between hosts")).toMatchObject({
      link: "lan0",
    });
    await trafficFlows();
    await isReadyAsBefore();
    // While it is up, too, where the kernel lets it be renamed then (since 6.2).
    if (!(await isRenamed("lan0", "lan1"))) return;
    await eventually("the name is known", async () => {
      return (await statusOf(folders[0] as LodendFolder)).interface === "lan1";
    });
    await trafficFlows();
    await isReadyAsBefore();
  });

  test("another card of its name: the peer sends to it at once, though it hears nothing by itself", async () => {
    const [there, back] = streams as [DatagramStream, DatagramStream];
    await doubtNothing(network.hosts[1] as Netns);
    await trafficFlows();
    there.isPaused = true;
    await eth0.links.delete("eth0");
    await first.says("the interface between hosts carries nothing now");
    await network.plug(1);
    await first.says("followed a change of the interface between hosts");
    // Nothing else makes host 1 ask for a peer that it has nothing to send to.
    await eventually("host 1 has asked for the peer's card", async () => {
      const neighbours = await eth0.neighbours.list({ link: "eth0" });
      return neighbours.some(({ address, mac }) => address.toString() === "192.0.2.2" && mac !== undefined);
    });
    await trafficFlows([back]);
    there.isPaused = false;
    await trafficFlows();
    await isReadyAsBefore();
  });

  /** Datagrams that are sent from now on arrive, each way. */
  async function trafficFlows(which: readonly DatagramStream[] = streams): Promise<void> {
    for (const stream of which) {
      await eventually("datagrams flow", async () => {
        const from = stream.sent;
        await new Promise((resolve) => setTimeout(resolve, 200));
        return stream.sent > from + 20 && stream.missing(from, stream.sent - 5).length === 0;
      });
    }
  }

  /** What a host knows of host 1's card it believes for an hour from now on, and so would go on sending to an old one. */
  async function doubtNothing(netns: Netns): Promise<void> {
    netns.setSysctl("net/ipv4/neigh/eth0/delay_first_probe_time", 3600);
    using rtnetlink = openRtnetlink({ netns });
    const known = await rtnetlink.neighbours.list({ link: "eth0" });
    const card = known.find(({ address }) => address.toString() === "192.0.2.1");
    if (card === undefined) throw new Error("Host 1 is not known");
    await rtnetlink.neighbours.replace({ ...card, state: "stale" });
  }

  async function isRenamed(old: string, name: string): Promise<boolean> {
    try {
      await eth0.links.set(old, { name });
      return true;
    } catch (error) {
      if (error instanceof KernelError && error.code === "EBUSY") return false;
      throw error;
    }
  }

  async function isReadyAsBefore(changed: Partial<Status> = {}): Promise<void> {
    await eventually("host 1 is ready", async () => (await statusOf(folders[0] as LodendFolder)).ready);
    const { subnet, publicIP, pid, mtu } = before;
    expect(await statusOf(folders[0] as LodendFolder)).toMatchObject({
      subnet,
      publicIP,
      pid,
      mtu,
      ...changed,
    });
  }

  function leaseText(): string {
    return etcd.ctl("get", `/coreos.com/network/subnets/${before.subnet?.replace("/", "-")}`);
  }
});

async function statusOf({ controlSocket }: LodendFolder): Promise<Status> {
  return JSON.parse((await askDaemon(controlSocket, "/status")) ?? "") as Status;
}
