import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { findEtcd } from "@loden/lease-etcd/testing";
import type { Netns } from "@loden/netns";
import { checkPrivileges } from "./check-privileges.ts";
import { askDaemon } from "./control/control-socket.ts";
import type { Status } from "./control/status.ts";
import { EtcdInNetns } from "./testing/etcd-in-netns.fixture.ts";
import { endWithTests, eventually } from "./testing/lodend-process.fixture.ts";
import { createTestNetwork } from "./testing/test-host.fixture.ts";

/** The name of this benchmark. */
export const name = "footprint";

const peers = 1_000;
const mebibyte = 1024;
const prefix = "/coreos.com/network";

/**
 * What one `lodend` takes while nothing happens: a child process in a namespace of its own, with a real etcd in another one
 * that has the leases of 1,000 hosts. It is built first, because Node takes some 50 MiB more to run the sources. An empty
 * Node beside it shows what Node alone takes.
 *
 *     switch namespace: etcd, 192.0.2.254 --- host namespace: lodend, 192.0.2.1
 *
 * @param o How many rounds: 4 s of idling each, 10 s at least.
 * @returns `figures`: resident memory of the daemon (`rssMiB`, of which `rssAnonMiB` is its own and `rssFileMiB` the programs it
 *   maps), its processor time in percent of one processor (`cpuPercent`), and the memory of an empty Node (`nodeRssMiB`);
 *   `ratios`: the first over the last.
 * @throws {Error} without etcd, etcdctl or the privileges to make namespaces and devices.
 */
export async function run(o: {
  rounds: number;
}): Promise<{ ratios: Record<string, number>; figures: Record<string, number> }> {
  checkMachine();
  build();
  await using open = new AsyncDisposableStack();
  const network = open.use(await createTestNetwork(1));
  const etcd = open.use(new EtcdInNetns(network.switch, "192.0.2.254"));
  await etcd.start();
  fill(etcd, network.switch);
  const folder = mkdtempSync(join(tmpdir(), "lodend-bench-"));
  open.defer(() => rmSync(folder, { recursive: true, force: true }));
  const lodend = startLodend(network.hosts[0] as Netns, etcd.endpoint, folder);
  open.defer(() => end(lodend));
  await eventually(`lodend has ${peers} peers`, async () => {
    const status = JSON.parse((await askDaemon(controlSocketIn(folder), "/status")) ?? "") as Status;
    return status.ready && status.peers.length === peers;
  });
  const empty = startEmptyNode();
  open.defer(() => end(empty));
  // What starting took is no part of idling: V8 collects its garbage some 8 s later.
  await sleep(12_000);
  const idle = await measureIdle(lodend, Math.max(10, 4 * o.rounds));
  const nodeRssMiB = residentMiB(empty).VmRSS;
  return {
    ratios: { "rssLodend/rssNode": idle.rssMiB / nodeRssMiB },
    figures: { ...idle, nodeRssMiB, peers },
  };
}

function checkMachine(): void {
  checkPrivileges();
  if (findEtcd() === undefined) {
    throw new Error(
      "Cannot measure lodend: etcd is not installed, expected etcd and etcdctl on the PATH (Debian: etcd-server, etcd-client)",
    );
  }
}

/** What was built before and is the same still is kept. */
function build(): void {
  const root = fileURLToPath(new URL("../../../", import.meta.url));
  const turbo = join(root, "node_modules/.bin/turbo");
  const env = { ...process.env, TURBO_TELEMETRY_DISABLED: "1" };
  const words = ["run", "build", "--filter=@loden/lodend", "--output-logs=errors-only"];
  const { status, error } = spawnSync(turbo, words, { cwd: root, env, stdio: ["ignore", 2, 2] });
  if (status !== 0) {
    throw new Error("Cannot measure lodend: it does not build, expected `npm run build` to succeed", {
      cause: error,
    });
  }
}

/** Writes the network and the leases of the peers, as flannel hosts write them. */
function fill(etcd: EtcdInNetns, netns: Netns): void {
  etcd.ctl("put", `${prefix}/config`, '{"Network":"10.0.0.0/8"}');
  // "lease 694d7f0b1b2c3d4e granted with TTL(86400s)"
  const id = etcd.ctl("lease", "grant", "86400").split(" ")[1] ?? "";
  const puts = Array.from({ length: peers }, (_, index) => {
    const [high, low] = [index >> 8, index & 0xff];
    const value = `{"PublicIP":"172.16.${high}.${low}","PublicIPv6":null}`;
    return `put --lease=${id} ${prefix}/subnets/10.${1 + high}.${low}.0-24 ${JSON.stringify(value)}`;
  });
  const most = 100;
  const [program, ...words] = ["etcdctl", `--endpoints=${etcd.endpoint}`, "txn"] as const;
  for (let first = 0; first < peers; first += most) {
    // No condition; what to do then; nothing else.
    const input = `\n${puts.slice(first, first + most).join("\n")}\n\n\n`;
    const env = { PATH: process.env["PATH"], ETCDCTL_API: "3" };
    const { status, stderr } = netns.run(() => spawnSync(program, words, { env, input, encoding: "utf8" }));
    if (status !== 0) throw new Error(`Cannot write leases of peers: etcdctl says ${stderr}`);
  }
}

function startLodend(netns: Netns, etcdEndpoint: string, folder: string): ChildProcess {
  const main = fileURLToPath(new URL("../dist/main.js", import.meta.url));
  const flags = {
    "control-socket": controlSocketIn(folder),
    "subnet-file": join(folder, "subnet.env"),
    "etcd-endpoints": etcdEndpoint,
  };
  const words = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
  // Nothing of the environment of whoever measures, such as NODE_OPTIONS; the program is the file, as for a user, and asks for this Node.
  const env = { PATH: `${dirname(process.execPath)}:${process.env["PATH"]}` };
  const child = netns.run(() => spawn(main, ["run", ...words], { env, stdio: ["ignore", "ignore", "pipe"] }));
  endWithTests(child);
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-4_000)));
  child.on("exit", (code) => {
    if (code !== null && code !== 0) console.error(`lodend ended with ${code}: ${said}`);
  });
  return child;
}

function controlSocketIn(folder: string): string {
  return join(folder, "loden.sock");
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

function startEmptyNode(): ChildProcess {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1e9)"], { stdio: "ignore" });
  endWithTests(child);
  return child;
}

async function measureIdle(
  child: ChildProcess,
  seconds: number,
): Promise<{ rssMiB: number; rssAnonMiB: number; rssFileMiB: number; cpuPercent: number }> {
  const [startedAt, before] = [performance.now(), processorSeconds(child)];
  await sleep(seconds * 1_000);
  const took = processorSeconds(child) - before;
  const cpuPercent = (100 * took) / ((performance.now() - startedAt) / 1_000);
  const { VmRSS, RssAnon, RssFile } = residentMiB(child);
  return { rssMiB: VmRSS, rssAnonMiB: RssAnon, rssFileMiB: RssFile, cpuPercent };
}

/** proc(5), /proc/pid/status. */
function residentMiB({ pid }: ChildProcess): { VmRSS: number; RssAnon: number; RssFile: number } {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  const read = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(text)?.[1]) / mebibyte;
  return { VmRSS: read("VmRSS"), RssAnon: read("RssAnon"), RssFile: read("RssFile") };
}

/** proc(5), /proc/pid/stat: utime and stime, all threads, in ticks of 10 ms. */
function processorSeconds({ pid }: ChildProcess): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
