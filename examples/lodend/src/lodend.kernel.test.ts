import { lacksTcx } from "@loden/bpf/testing";
import { spawnSync } from "node:child_process";
import { existsSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { parsePrefix } from "@loden/ip";
import { bindSocket, closeFd, constants, openSocket, receiveFrom } from "@loden/linux";
import type { Netns } from "@loden/netns";
import { formatRoute, openRtnetlink } from "@loden/rtnetlink";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { askDaemon } from "./control/control-socket.ts";
import { processStartOf, readRecords } from "./control/run-record.ts";
import type { Status } from "./control/status.ts";
import { encodeUnixAddress } from "./systemd/notify.ts";
import { dumpNetns } from "./testing/dump-netns.fixture.ts";
import { eventually, LodendFolder, type LodendProcess } from "./testing/lodend-process.fixture.ts";
import { createTestNetwork, type TestNetwork } from "./testing/test-host.fixture.ts";

const config = '{"Network":"10.42.0.0/16"}';

let network: TestNetwork;
let host: Netns;
let open: DisposableStack;

beforeEach(async () => {
  open = new DisposableStack();
  network = open.use(await createTestNetwork(1));
  host = network.hosts[0] as Netns;
});

afterEach(() => open.dispose());

function folderOf(flags: readonly string[] = [], options: { config?: string; name?: string } = {}) {
  return open.use(new LodendFolder(host, flags, { config, ...options }));
}

/** What the daemon's HTTP server answers inside the host: code and text. */
function ask(path: string): string {
  const program = `const answer = await fetch("http://127.0.0.1:8081${path}");
    process.stdout.write(answer.status + " " + (await answer.text()));`;
  const words = ["--input-type=module", "--eval", program];
  const { stdout, stderr } = host.run(() => spawnSync(process.execPath, words, { encoding: "utf8" }));
  return stdout || stderr;
}

async function statusOf(folder: LodendFolder): Promise<Status> {
  return JSON.parse((await askDaemon(folder.controlSocket, "/status")) ?? "") as Status;
}

describe("lodend run", () => {
  test("joins, becomes ready, writes subnet.env, and stops with 0", async () => {
    const folder = folderOf(["--ip-masq"]);
    const lodend = folder.start("run");
    await lodend.says("ready");
    const { subnet = "", ready, problems, device, mtu } = await statusOf(folder);
    expect({ ready, problems, device, mtu }).toEqual({
      ready: true,
      problems: [],
      device: "loden0",
      mtu: 1472,
    });
    const bridge = subnet.replace(".0/24", ".1/24");
    expect(folder.subnetEnv()).toBe(
      `FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=${bridge}\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=true\n`,
    );
    expect(statSync(folder.subnetFile).mode & 0o777).toBe(0o644);
    expect(statSync(folder.controlSocket).mode & 0o777).toBe(0o600);
    using rtnetlink = openRtnetlink({ netns: host });
    const routes = await rtnetlink.routes.list({ protocol: 76 });
    expect(routes.map(formatRoute)).toEqual(["10.42.0.0/16 dev loden0 proto 76 scope link"]);
    const { stdout } = host.run(() =>
      spawnSync("nft", ["list", "table", "inet", "loden"], { encoding: "utf8" }),
    );
    expect(stdout).toContain(`ip saddr ${subnet} ip daddr 10.42.0.0/16 return`);
    expect(stdout).toContain("ip saddr 10.42.0.0/16 accept");
    expect(await lodend.stop()).toBe(0);
    expect(existsSync(folder.controlSocket)).toBe(false);
    expect(lodend.lines("stopped")).toHaveLength(1);
  });

  test("takes the subnet of its last run again", async () => {
    const folder = folderOf();
    writeFileSync(folder.subnetFile, "FLANNEL_SUBNET=10.42.77.1/24\n");
    const lodend = folder.start("run");
    expect(await lodend.says("acquired a lease")).toMatchObject({ subnet: "10.42.77.0/24" });
  });

  test("serves /healthz, /readyz and /metrics; a deleted route is back and counted", async () => {
    const folder = folderOf(["--healthz-ip=127.0.0.1", "--healthz-port=8081"]);
    const lodend = folder.start("run");
    await lodend.says("ready");
    expect(ask("/healthz")).toBe("200 lodend is running\n");
    expect(ask("/readyz")).toBe("200 lodend is ready\n");
    expect(ask("/nothing")).toBe("404 there is nothing here\n");
    const metrics = ask("/metrics");
    expect(metrics).toMatch(/^loden_ready 1$/m);
    expect(metrics).toMatch(/^loden_store_requests_total\{operation="claim"\} 1$/m);
    using rtnetlink = openRtnetlink({ netns: host });
    await rtnetlink.routes.delete({ destination: parsePrefix("10.42.0.0/16"), protocol: 76 });
    await lodend.says("route: repaired");
    expect(ask("/metrics")).toMatch(/^loden_events_total\{area="route",type="removed"\} 1$/m);
  });

  test("puts flushed firewall rules back, and joins again when the device is deleted", async () => {
    // The resync must not come before the repair: then there is none.
    const folder = folderOf(["--healthz-ip=127.0.0.1", "--healthz-port=8081", "--iptables-resync=3600"]);
    const lodend = folder.start("run");
    await lodend.says("ready");
    host.run(() => spawnSync("nft", ["delete", "table", "inet", "loden"]));
    await lodend.says("firewall: repaired");
    expect(ask("/readyz")).toBe("200 lodend is ready\n");
    using rtnetlink = openRtnetlink({ netns: host });
    await rtnetlink.links.delete("loden0");
    await lodend.says("backend: device lost");
    await lodend.says("joined the overlay", 2);
    await eventually(
      "the route is back",
      async () => (await rtnetlink.routes.list({ protocol: 76 })).length === 1,
    );
    expect(ask("/readyz")).toBe("200 lodend is ready\n");
  });

  test("tells the service manager STATUS, READY, WATCHDOG and STOPPING", async () => {
    const folder = folderOf();
    const path = join(folder.path, "notify");
    const fd = openSocket(constants.AF_UNIX, constants.SOCK_DGRAM | constants.SOCK_NONBLOCK);
    open.defer(() => closeFd(fd));
    bindSocket(fd, encodeUnixAddress(path));
    const lodend = folder.start("run", [], {
      environment: { NOTIFY_SOCKET: path, WATCHDOG_USEC: "200000" },
    });
    const heard: string[] = [];
    const listen = (wanted: string): Promise<void> =>
      eventually(`the service manager hears ${wanted}`, () => {
        const buffer = new Uint8Array(4096);
        for (let message = receiveFrom(fd, buffer); message; message = receiveFrom(fd, buffer))
          heard.push(...new TextDecoder().decode(buffer.subarray(0, message.length)).split("\n"));
        return heard.includes(wanted);
      });
    await listen("READY=1");
    await listen("WATCHDOG=1");
    await lodend.stop();
    await listen("STOPPING=1");
    expect(heard).toContain("STATUS=ready, 0 peers");
  });

  test("needs no capability but CAP_NET_ADMIN", async () => {
    const folder = folderOf(["--ip-masq"]);
    const sets = ["--bounding-set", "-all,+net_admin", "--inh-caps", "-all,+net_admin"];
    const lodend = folder.start("run", [], { wrapper: ["setpriv", ...sets] });
    await lodend.says("ready");
    expect((await statusOf(folder)).kernelPath).toMatchObject({
      on: false,
      reason: expect.stringMatching(lacksTcx ? /./ : /expected CAP_BPF and CAP_NET_ADMIN/),
    });
    expect(await lodend.stop()).toBe(0);
  });

  test("logs no secret, even where somebody else's message has it", async () => {
    const folder = open.use(new LodendFolder(host, []));
    const flags = ["--etcd-username=root", "--etcd-password=s3cret!", "--store-wait=1s"];
    const { output } = await folder.run("run", [...flags, "--etcd-endpoints=http://127.0.0.1:1", "--v=1"]);
    expect(output).toContain('"etcd-password":"***"');
    expect(output).not.toContain("s3cret!");
  });
});

describe("lodend ends with one clear line and a documented code", () => {
  const lastLine = (output: string): string => output.trimEnd().split("\n").at(-1) ?? "";

  test("2 for a flag that is none", async () => {
    const { code, output } = await folderOf().run("run", ["--ifaces=eth0"]);
    expect([code, output]).toEqual([
      2,
      "lodend: Cannot read the command line: there is no flag --ifaces; see lodend --help\n",
    ]);
  });

  test("3 for a configuration that is none, and for a backend that there is not", async () => {
    const broken = await folderOf([], { config: '{"Network":"10.42.0.0/31"}' }).run("run");
    expect([broken.code, lastLine(broken.output)]).toEqual([
      3,
      expect.stringMatching(/^lodend: .*Network.*; correct the network's configuration in the store$/),
    ]);
    const wireguard = '{"Network":"10.42.0.0/16","Backend":{"Type":"wireguard"}}';
    const other = await folderOf([], { config: wireguard }).run("run");
    expect([other.code, lastLine(other.output)]).toEqual([
      3,
      'lodend: Cannot join the network: its Backend.Type is "wireguard", expected one that this lodend has: udp, vxlan, host-gw',
    ]);
  });

  test("4 for an etcd that cannot be reached", async () => {
    const folder = open.use(new LodendFolder(host, []));
    const flags = ["--etcd-endpoints=http://127.0.0.1:1", "--store-wait=1s"];
    const { code, output } = await folder.run("run", flags);
    expect([code, lastLine(output)]).toEqual([
      4,
      expect.stringMatching(
        /^lodend: Cannot read the network: .*; check --etcd-endpoints and whether etcd runs$/,
      ),
    ]);
  });

  test("5 without CAP_NET_ADMIN, before anything is claimed or written", async () => {
    const folder = folderOf();
    const wrapper = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"];
    const { code, output } = await folder.run("run", [], { wrapper });
    expect([code, lastLine(output)]).toEqual([
      5,
      "lodend: Cannot start: this process lacks CAP_NET_ADMIN; run lodend as root, or give it that capability",
    ]);
    expect(existsSync(folder.subnetFile) || existsSync(folder.controlSocket)).toBe(false);
  });

  test("6 for an interface that there is not, for a taken UDP port and for a taken HTTP port", async () => {
    const missing = await folderOf().run("run", ["--iface=eth7"]);
    expect([missing.code, lastLine(missing.output)]).toEqual([
      6,
      expect.stringMatching(/nothing fits --iface eth7, expected one of lo .*, eth0 \(192\.0\.2\.1/),
    ]);
    const other = host.run(() => openSocket(constants.AF_INET, constants.SOCK_DGRAM));
    open.defer(() => closeFd(other));
    // struct sockaddr_in of 0.0.0.0:8285, as flanneld binds it.
    bindSocket(other, new Uint8Array([2, 0, 0x20, 0x5d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    const taken = await folderOf().run("run");
    expect([taken.code, lastLine(taken.output)]).toEqual([
      6,
      expect.stringMatching(
        /\(process \d+\) has 0\.0\.0\.0:8285; stop the other program, or give the network another Backend\.Port$/,
      ),
    ]);
    const http = await folderOf().run("run", ["--healthz-port=70000"]);
    expect(http.code).toBe(2);
  });

  test("6 for another program's route to the overlay", async () => {
    using rtnetlink = openRtnetlink({ netns: host });
    await rtnetlink.routes.add({ destination: parsePrefix("10.42.0.0/16"), link: "eth0" });
    const { code, output } = await folderOf().run("run");
    expect([code, lastLine(output)]).toEqual([6, expect.stringContaining("10.42.0.0/16 dev eth0")]);
  });

  test("9 for a second daemon of one name, naming the first, and for no daemon", async () => {
    const folder = folderOf();
    expect(await folder.run("status")).toMatchObject({ code: 9 });
    const first = folder.start("run");
    await first.says("ready");
    const second = await folder.run("run");
    expect([second.code, lastLine(second.output)]).toEqual([
      9,
      `lodend: Cannot listen at ${folder.controlSocket}: another lodend (process ${first.child.pid}) does, expected none; stop it, or give this one another --name`,
    ]);
    expect(await folder.run("cleanup")).toMatchObject({ code: 9 });
    expect((await statusOf(folder)).ready).toBe(true);
  });
});

describe("lodend commands", () => {
  test("explain prints what run then programs, and changes nothing", async () => {
    const folder = folderOf(["--ip-masq"]);
    writeFileSync(folder.subnetFile, "FLANNEL_SUBNET=10.42.9.1/24\n");
    const before = await dumpNetns(host);
    const { code, output } = await folder.run("explain");
    expect(code).toBe(0);
    expect(await dumpNetns(host)).toEqual(before);
    expect(folder.subnetEnv()).toBe("FLANNEL_SUBNET=10.42.9.1/24\n");
    expect(output).toContain("# interface eth0 (the default route), MTU 1500, own address 192.0.2.1");
    expect(output).toContain("ip route add 10.42.0.0/16 dev loden0 proto 76\n");
    expect(output).toContain("#   loden_encap at the egress of loden0, loden_decap at the ingress of eth0\n");
    const off = await folder.run("explain", ["--kernel-path=off"]);
    expect(off.output).toContain("# kernel path: none, all packets through the pump: it is switched off\n");
    const lodend = folder.start("run");
    await lodend.says("ready");
    const { stdout } = host.run(() =>
      spawnSync("nft", ["list", "table", "inet", "loden"], { encoding: "utf8" }),
    );
    expect(output.slice(output.indexOf("table inet")).trim()).toBe(stdout.trim());
    for (const line of folder.subnetEnv().trimEnd().split("\n")) expect(output).toContain(`#   ${line}\n`);
  });

  test("a reader that goes away ends nothing", async () => {
    const folder = folderOf();
    const lodend = folder.start("run");
    await lodend.says("ready");
    lodend.child.stderr?.destroy();
    host.run(() => spawnSync("nft", ["delete", "table", "inet", "loden"]));
    using rtnetlink = openRtnetlink({ netns: host });
    await rtnetlink.routes.delete({ destination: parsePrefix("10.42.0.0/16"), protocol: 76 });
    await eventually(
      "the route is back",
      async () => (await rtnetlink.routes.list({ protocol: 76 })).length === 1,
    );
    expect((await statusOf(folder)).ready).toBe(true);
  });

  test("what explain prints can be typed in", async () => {
    const { output } = await folderOf().run("explain");
    const shell = output.split("\n").filter((line) => /^(ip|sysctl) /.test(line));
    const { stderr, status } = host.run(() =>
      spawnSync("sh", ["-ec", shell.join("\n")], { encoding: "utf8" }),
    );
    expect([status, stderr]).toEqual([0, ""]);
    const rules = output.slice(output.indexOf("table inet"));
    expect(host.run(() => spawnSync("nft", ["-f", "-"], { input: rules, encoding: "utf8" })).stderr).toBe("");
  });

  test("status shows this host for humans and as JSON", async () => {
    const folder = folderOf();
    const lodend = folder.start("run");
    await lodend.says("ready");
    const human = await folder.run("status");
    expect(human.code).toBe(0);
    expect(human.output).toMatch(
      /^lodend \S+ "loden" \(process \d+\) is ready\n {2}subnet {4}10\.42\.\d+\.0\/24 of/,
    );
    const packets =
      "\n  packets   plain ones in the kernel (takes all, sends to able peers), the rest through this process\n";
    if (!lacksTcx) expect(human.output).toContain(packets);
    expect(human.output).toContain(
      "  underlay  veth, MTU 1500; offloads: checksums, TSO, GSO, UDP segmentation",
    );
    host.run(() => spawnSync("ethtool", ["-K", "eth0", "tx", "off"]));
    const json = await folder.run("status", ["--json"]);
    expect(JSON.parse(json.output)).toMatchObject({
      ready: true,
      publicIP: "192.0.2.1",
      interface: "eth0",
      underlay: { kind: "veth", mtu: 1500, offloads: { txChecksum: false, tso: false, gso: true } },
    });
  });

  test("cleanup leaves nothing after kill -9, and after that has nothing to do", async () => {
    const before = await dumpNetns(host);
    const folder = folderOf(["--ip-masq"]);
    const lodend = folder.start("run");
    await lodend.says("ready");
    await lodend.stop("SIGKILL");
    expect(await dumpNetns(host)).not.toEqual(before);
    expect(await folder.run("cleanup")).toMatchObject({ code: 0 });
    expect(await dumpNetns(host)).toEqual(before);
    expect(existsSync(folder.subnetFile) || existsSync(folder.controlSocket)).toBe(false);
    expect(readRecords(folder.controlSocket)).toEqual([]);
    expect(await folder.run("cleanup")).toEqual({ code: 0, output: "there was nothing to remove\n" });
  });

  test("cleanup leaves a subnet.env that somebody else has written since", async () => {
    const folder = folderOf();
    const lodend = folder.start("run");
    await lodend.says("ready");
    await lodend.stop();
    writeFileSync(folder.subnetFile, "FLANNEL_SUBNET=10.1.1.1/24\n");
    await folder.run("cleanup");
    expect(folder.subnetEnv()).toBe("FLANNEL_SUBNET=10.1.1.1/24\n");
  });

  test("run replaces the control socket of a dead process", async () => {
    const folder = folderOf();
    const first = folder.start("run");
    await first.says("ready");
    await first.stop("SIGKILL");
    expect(existsSync(folder.controlSocket)).toBe(true);
    await folder.start("run").says("ready");
  });

  test("commands wait in vain for a daemon that hangs, not for ever", async () => {
    const folder = folderOf();
    const server = createServer(() => undefined).listen(folder.controlSocket);
    open.defer(() => void server.close());
    const { code } = await folder.run("status");
    expect(code).toBe(9);
    rmSync(folder.controlSocket, { force: true });
  });
});

describe("two lodend of different networks on one host", () => {
  test("run side by side, and cleanup of one leaves the other alone", async () => {
    const first = folderOf();
    const other = '{"Network":"10.43.0.0/16","Backend":{"Type":"udp","Port":8286}}';
    const second = folderOf(["--ip-masq"], { config: other, name: "blue" });
    const running: LodendProcess[] = [first.start("run"), second.start("run")];
    for (const lodend of running) await lodend.says("ready");
    using rtnetlink = openRtnetlink({ netns: host });
    const destinations = async (): Promise<string[]> =>
      (await rtnetlink.routes.list({ protocol: 76 })).map(({ destination }) => destination.toString());
    expect((await destinations()).toSorted()).toEqual(["10.42.0.0/16", "10.43.0.0/16"]);
    const tables = (): string =>
      host.run(() => spawnSync("nft", ["list", "tables"], { encoding: "utf8" })).stdout;
    expect(tables().split("\n").toSorted()).toEqual(["", "table inet loden", "table inet loden-blue"]);
    await running[1]?.stop();
    expect(await destinations()).toEqual(["10.42.0.0/16"]);
    expect((await statusOf(first)).ready).toBe(true);
    expect(processStartOf(running[0]?.child.pid ?? 0)).toBeDefined();
  });
});
