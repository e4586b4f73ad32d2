import { parseAddress, parsePrefix } from "@loden/ip";
import { findEtcd } from "@loden/lease-etcd/testing";
import {
  bindSocket,
  closeFd,
  constants,
  encodeSocketAddress,
  openSocket,
  receiveFrom,
  sendTo,
} from "@loden/linux";
import type { Netns } from "@loden/netns";
import { openRtnetlink } from "@loden/rtnetlink";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { askDaemon } from "./control/control-socket.ts";
import type { Status } from "./control/status.ts";
import { dumpNetns } from "./testing/dump-netns.fixture.ts";
import { EtcdInNetns } from "./testing/etcd-in-netns.fixture.ts";
import { eventually, LodendFolder, type LodendProcess } from "./testing/lodend-process.fixture.ts";
import { createTestNetwork } from "./testing/test-host.fixture.ts";

// +-------- switch --------+
// | etcd, 192.0.2.254:2379 |
// +---+----------------+---+
//     |                |
// host 1 (.1)      host 2 (.2), each with a lodend of its own
let open: AsyncDisposableStack;
let etcd: EtcdInNetns;
let hosts: readonly Netns[];

const prefix = "/coreos.com/network";
const canRun = findEtcd() !== undefined && process.getuid?.() === 0;

describe.skipIf(!canRun)("lodend over a real etcd", () => {
  beforeEach(async () => {
    open = new AsyncDisposableStack();
    const network = open.use(await createTestNetwork(2));
    ({ hosts } = network);
    etcd = open.use(new EtcdInNetns(network.switch, "192.0.2.254"));
    await etcd.start();
    etcd.ctl("put", `${prefix}/config`, '{"Network":"10.42.0.0/16"}');
  });

  afterEach(() => open.disposeAsync());

  test("two hosts carry packets between their subnets, and keys and values are flannel's", async () => {
    const [first, second] = await startBoth();
    await bothSeePeers(first, second);
    const [a, b] = [await statusOf(first.folder), await statusOf(second.folder)];
    await numberBridge(hosts[0] as Netns, a);
    await numberBridge(hosts[1] as Netns, b);
    await datagramCrosses(hosts[0] as Netns, bridgeOf(a), hosts[1] as Netns, bridgeOf(b));
    await datagramCrosses(hosts[1] as Netns, bridgeOf(b), hosts[0] as Netns, bridgeOf(a));
    const entries = etcd.ctl("get", "--prefix", `${prefix}/subnets`).split("\n");
    expect(entries).toHaveLength(4);
    expect(entries).toContain(`${prefix}/subnets/${a.subnet?.replace("/", "-")}`);
    // What this host's kernel takes comes after what flannel's say, and a moment later.
    const value = /^{"PublicIP":"192\.0\.2\.1","PublicIPv6":null(,"BackendData":{"Decapsulates":"all"})?}$/;
    expect(entries).toContainEqual(expect.stringMatching(value));
    expect(b.peers).toEqual([
      { subnet: a.subnet, publicIP: "192.0.2.1", expiresAt: expect.stringMatching(/^20/) },
    ]);
    for (const { lodend } of [first, second]) expect(lodend.lines("lease: held elsewhere")).toEqual([]);
  });

  test("kill -9 and a new start keep the subnet, also without subnet.env", async () => {
    const folder = folderOf(0);
    const lodend = folder.start("run");
    const { subnet } = await lodend.says("acquired a lease");
    await lodend.says("ready");
    await lodend.stop("SIGKILL");
    const other = folderOf(0);
    const again = other.start("run");
    expect(await again.says("acquired a lease")).toMatchObject({ subnet });
    await again.says("ready");
  });

  test("--release-on-exit frees the subnet, and its peers drop it", async () => {
    const [first, second] = await startBoth(["--release-on-exit"]);
    await bothSeePeers(first, second);
    expect(await first.lodend.stop()).toBe(0);
    expect(etcd.ctl("get", "--prefix", "--keys-only", `${prefix}/subnets`).split("\n")).toHaveLength(1);
    await eventually("the peer is gone", async () => (await statusOf(second.folder)).peers.length === 0);
  });

  test("cleanup leaves nothing of two hosts", async () => {
    const before = [await dumpNetns(hosts[0] as Netns), await dumpNetns(hosts[1] as Netns)];
    const [first, second] = await startBoth(["--ip-masq"]);
    await first.lodend.stop("SIGKILL");
    await second.lodend.stop();
    for (const { folder } of [first, second]) expect(await folder.run("cleanup")).toMatchObject({ code: 0 });
    expect([await dumpNetns(hosts[0] as Netns), await dumpNetns(hosts[1] as Netns)]).toEqual(before);
  });

  test("a missing configuration is waited for, and said once", async () => {
    etcd.ctl("del", `${prefix}/config`);
    const folder = folderOf(0);
    const lodend = folder.start("run");
    await lodend.says("waiting for the network's configuration");
    const { ready, problems } = await statusOf(folder);
    expect([ready, problems[0]]).toEqual([false, expect.stringContaining(`no key ${prefix}/config`)]);
    const impatient = folderOf(1).start("run");
    await impatient.says("waiting for the network's configuration");
    expect(await impatient.stop()).toBe(0);
    etcd.ctl("put", `${prefix}/config`, '{"Network":"10.44.0.0/16"}');
    await lodend.says("ready");
    expect(lodend.lines("waiting for the network's configuration")).toHaveLength(1);
  });

  test("a change of the configuration is explained, and so is one that cannot be read", async () => {
    const folder = folderOf(0, ["--config-poll=100ms"]);
    const lodend = folder.start("run");
    await lodend.says("ready");
    etcd.ctl("put", `${prefix}/config`, '{"Network":"10.42.0.0/16","Backend":{"Type":"udp","Port":9000}}');
    expect(await lodend.says("the network's configuration changed")).toMatchObject({
      what: "the options of Backend changed",
      needsRestart: true,
    });
    expect((await statusOf(folder)).warnings[0]).toContain("the options of Backend changed");
    etcd.ctl("put", `${prefix}/config`, "nonsense");
    await lodend.says("the network's configuration in the store is wrong; this host goes on by the old one");
    expect((await statusOf(folder)).ready).toBe(true);
  });

  test("a lost lease is acquired again with the same subnet", async () => {
    const folder = folderOf(0);
    const lodend = folder.start("run");
    const { subnet } = await lodend.says("acquired a lease");
    await lodend.says("ready");
    etcd.ctl("del", "--prefix", `${prefix}/subnets`);
    await lodend.says("the lease is lost; acquiring again, the same subnet first");
    expect(await lodend.says("acquired a lease", 2)).toMatchObject({ subnet });
    await eventually("it is ready again", async () => (await statusOf(folder)).ready);
    expect(folder.subnetEnv()).toContain(String(subnet).replace(".0/24", ".1/24"));
  });

  test("a lease that another host took gives way to another subnet, which is told everywhere", async () => {
    const folder = folderOf(0);
    const lodend = folder.start("run");
    const { subnet } = await lodend.says("acquired a lease");
    await lodend.says("ready");
    const key = `${prefix}/subnets/${String(subnet).replace("/", "-")}`;
    etcd.ctl("put", key, '{"PublicIP":"192.0.2.77","PublicIPv6":null}');
    const changed = await lodend.says("this host has another subnet now: containers must be numbered anew");
    expect(changed["before"]).toBe(subnet);
    await eventually("it is ready again", async () => (await statusOf(folder)).ready);
    const status = await statusOf(folder);
    expect([status.subnet, status.peers.map((peer) => peer.subnet)]).toEqual([changed["after"], [subnet]]);
    expect(folder.subnetEnv()).toContain(String(changed["after"]).replace(".0/24", ".1/24"));
  });

  test("a second host with the same address gets the same lease, and the first says so at once", async () => {
    const first = folderOf(0).start("run");
    const { subnet } = await first.says("acquired a lease");
    await first.says("ready");
    const second = folderOf(1, ["--public-ip=192.0.2.1", "--iface=eth0"]).start("run");
    expect(await second.says("acquired a lease")).toMatchObject({ subnet });
    expect(await first.says("lease: held elsewhere")).toMatchObject({
      level: "warn",
      subnet,
      reason: expect.stringContaining("wrote this host's lease with its address 192.0.2.1"),
    });
  });

  test("--on-subnet-change=exit writes subnet.env and ends with 8", async () => {
    const folder = folderOf(0, ["--on-subnet-change=exit"]);
    const lodend = folder.start("run");
    const { subnet } = await lodend.says("acquired a lease");
    await lodend.says("ready");
    const key = `${prefix}/subnets/${String(subnet).replace("/", "-")}`;
    etcd.ctl("put", key, '{"PublicIP":"192.0.2.77","PublicIPv6":null}');
    expect(await lodend.ended()).toBe(8);
    expect(folder.subnetEnv()).not.toContain(String(subnet).replace(".0/24", ".1/24"));
  });

  test("cut off past expiry: unconfirmed, 503, packets go on; confirmed again when etcd is back", async () => {
    const [first, second] = await startBoth(["--subnet-lease-ttl=6s"]);
    await bothSeePeers(first, second);
    await etcd.stop();
    await eventually("the lease is unconfirmed", async () => {
      return (await statusOf(first.folder)).lease.state === "unconfirmed";
    });
    const status = await statusOf(first.folder);
    expect([status.ready, status.problems]).toEqual([
      false,
      ["the lease's time ran out and the store does not confirm it"],
    ]);
    expect(status.peers).toHaveLength(1);
    expect(status.warnings[0]).toMatch(/^the store: /);
    await etcd.start();
    await eventually("it is ready again", async () => (await statusOf(first.folder)).ready, 40_000);
    expect((await statusOf(first.folder)).subnet).toBe(status.subnet);
  });

  test("--fence stops packets while the lease is unconfirmed", async () => {
    const folder = folderOf(0, ["--subnet-lease-ttl=6s", "--fence"]);
    const lodend = folder.start("run");
    await lodend.says("ready");
    await etcd.stop();
    await lodend.says("packets to peers are stopped, because the subnet may be another host's");
    expect((await statusOf(folder)).problems).toContain("packets are stopped until the lease is confirmed");
    await etcd.start();
    await eventually("it is ready again", async () => (await statusOf(folder)).ready, 40_000);
  });
});

interface Running {
  readonly folder: LodendFolder;
  readonly lodend: LodendProcess;
}

function folderOf(host: number, flags: readonly string[] = []): LodendFolder {
  const all = ["--etcd-endpoints", etcd.endpoint, ...flags];
  return open.use(new LodendFolder(hosts[host] as Netns, all));
}

async function startBoth(flags: readonly string[] = []): Promise<[Running, Running]> {
  const started = [0, 1].map((host): Running => {
    const folder = folderOf(host, flags);
    return { folder, lodend: folder.start("run") };
  });
  for (const { lodend } of started) await lodend.says("ready");
  return started as [Running, Running];
}

async function bothSeePeers(...running: readonly Running[]): Promise<void> {
  for (const { folder } of running)
    await eventually("the peer is known", async () => (await statusOf(folder)).peers.length === 1);
}

async function statusOf(folder: LodendFolder): Promise<Status> {
  return JSON.parse((await askDaemon(folder.controlSocket, "/status")) ?? "") as Status;
}

/** Gives the host the bridge that `dockerd --bip` would make, with a container's address. */
async function numberBridge(netns: Netns, status: Status): Promise<void> {
  using rtnetlink = openRtnetlink({ netns });
  const subnet = parsePrefix(status.subnet ?? "");
  await rtnetlink.links.add({ name: "docker0", kind: "bridge", addrGenMode: "none", up: true });
  const address = parseAddress(bridgeOf(status));
  await rtnetlink.addresses.add({ link: "docker0", address, prefixLength: subnet.length });
}

function bridgeOf({ subnet = "" }: Status): string {
  return parsePrefix(subnet).nth(1).toString();
}

/** Sends datagrams from an address of one host to one of another, until one arrives; it has the sender's own address. */
async function datagramCrosses(here: Netns, from: string, there: Netns, to: string): Promise<void> {
  const [source, target] = [from, to].map((text) =>
    encodeSocketAddress(parseAddress(text).toBytes(), 4000),
  ) as [Uint8Array, Uint8Array];
  const openUdp = (): number => openSocket(constants.AF_INET, constants.SOCK_DGRAM | constants.SOCK_NONBLOCK);
  const [sender, receiver] = [here.run(openUdp), there.run(openUdp)];
  try {
    bindSocket(sender, source);
    bindSocket(receiver, target);
    const buffer = new Uint8Array(2_000);
    await eventually("a datagram crosses", () => {
      sendTo(sender, new Uint8Array(1_400), target);
      const message = receiveFrom(receiver, buffer);
      return (
        message !== undefined && message.length === 1_400 && Buffer.compare(message.address, source) === 0
      );
    });
  } finally {
    closeFd(sender);
    closeFd(receiver);
  }
}
