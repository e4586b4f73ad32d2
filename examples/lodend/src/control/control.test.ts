import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KernelPathState } from "@loden/backend-udp";
import { parsePrefix } from "@loden/ip";
import { createMemoryLeaseStore, createMemoryStorage } from "@loden/lease-memory";
import type { Link, ListedRoute, Rtnetlink } from "@loden/rtnetlink";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ExitCode } from "../exit/exit-codes.ts";
import { cleanUp } from "./clean-up.ts";
import { askDaemon, openControlSocket } from "./control-socket.ts";
import { createDryRunStore } from "./dry-run-store.ts";
import { formatStatus } from "./format-status.ts";
import {
  createRunRecord,
  isRunning,
  processStartOf,
  readRecords,
  recordPath,
  writeRecord,
} from "./run-record.ts";
import type { Status } from "./status.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lodend-control-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function at(name: string): string {
  return join(folder, name);
}

function madeBy(name: string) {
  return {
    name,
    controlSocket: at(`${name}.sock`),
    subnetFile: at(`${name}.env`),
    firewallTable: `loden-${name}`,
  };
}

const dead = { pid: 2 ** 22 + 1, processStart: "1" };

describe("control socket", () => {
  test("openControlSocket() answers its owner alone, and leaves nothing", async () => {
    const path = at("deep/loden.sock");
    {
      await using _ = await openControlSocket(path, { "/status": () => [200, "text/plain", "fine"] });
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(await askDaemon(path, "/status")).toBe("fine");
    }
    expect(existsSync(path)).toBe(false);
    expect(await askDaemon(path, "/status")).toBeUndefined();
  });

  test("openControlSocket() names the path and the flag when its folder can't be made", async () => {
    writeFileSync(at("file"), "not a folder");
    await expect(openControlSocket(at("file/deep/a.sock"), {})).rejects.toMatchObject({
      exitCode: ExitCode.host,
      message: expect.stringMatching(/^Cannot make the control socket .*deep\/a.sock.*--control-socket$/),
    });
  });

  test("openControlSocket() replaces a dead one and names the process of a live one", async () => {
    writeFileSync(at("a.sock"), "");
    await using _ = await openControlSocket(at("a.sock"), {});
    createRunRecord(madeBy("a"));
    await expect(openControlSocket(at("a.sock"), {})).rejects.toThrow(
      `another lodend (process ${process.pid}) does, expected none; stop it, or give this one another --name`,
    );
  });
});

describe("run record", () => {
  test("createRunRecord() is read back, with what is noted later", () => {
    const record = createRunRecord(madeBy("a"));
    record.note({ devices: ["loden0"], subnetEnv: "text" });
    const [read, ...more] = readRecords(at("b.sock"));
    expect(more).toEqual([]);
    expect(read).toMatchObject({ ...madeBy("a"), pid: process.pid, devices: ["loden0"], subnetEnv: "text" });
    expect(read && isRunning(read)).toBe(true);
  });

  test("readRecords() leaves out what is no record", () => {
    writeFileSync(at("broken.json"), "{");
    writeFileSync(at("other.json"), '{"name":"x"}');
    writeFileSync(at("alien.json"), JSON.stringify({ ...madeBy("a"), ...dead }));
    expect(readRecords(at("a.sock"))).toEqual([]);
    expect(readRecords(join(folder, "nowhere/a.sock"))).toEqual([]);
  });

  test("isRunning() is false when the number belongs to another process by now", () => {
    const record = { ...madeBy("a"), pid: process.pid, processStart: `${processStartOf(process.pid)}0` };
    expect(isRunning(record)).toBe(false);
    expect(isRunning({ ...record, ...dead })).toBe(false);
  });
});

describe("cleanUp()", () => {
  const links = [
    { name: "loden0", kind: "tun" },
    { name: "loden1", kind: "tun" },
    { name: "mine", kind: "tun" },
    { name: "lodenbr0", kind: "bridge" },
    { name: "loden2", kind: "veth" },
  ] as Link[];
  const route = (link: string, destination = "10.1.0.0/16"): ListedRoute => ({
    destination: parsePrefix(destination),
    link,
    table: 254,
    protocol: 76,
    scope: "link",
    type: "unicast",
  });

  async function clean(): Promise<{ removed: string[]; deleted: string[] }> {
    const deleted: string[] = [];
    const rtnetlink = {
      links: { list: async () => links, delete: async (name: string) => void deleted.push(name) },
      routes: {
        list: async () => [
          route("loden0"),
          route("loden1"),
          route("eth0", "10.2.3.0/24"),
          route("eth0", "10.1.3.0/24"),
        ],
        deleteMany: async (routes: Iterable<ListedRoute>) =>
          void deleted.push(...Array.from(routes, ({ link }) => `route ${link}`)),
      },
    } as unknown as Rtnetlink;
    const removed = await cleanUp({
      settings: { name: "a", controlSocket: at("a.sock") },
      rtnetlink,
      firewallTable: "loden-a",
      clearFirewall: async (table) => deleted.push(table) > 0,
    });
    return { removed, deleted };
  }

  test("removes what dead daemons made, and leaves what a live one has", async () => {
    writeRecord({ ...madeBy("a"), ...dead, devices: ["mine"], subnetEnv: "A=1\n" });
    writeFileSync(at("a.env"), "A=1\n");
    writeFileSync(at("a.sock"), "");
    createRunRecord(madeBy("b")).note({
      devices: ["loden1"],
      networks: ["10.2.0.0/16"],
      subnetEnv: "B=1\n",
    });
    writeFileSync(at("b.env"), "B=1\n");
    const { removed, deleted } = await clean();
    expect(deleted).toEqual(["route loden0", "route eth0", "loden0", "mine", "loden-a"]);
    expect(removed).toEqual([
      "route 10.1.0.0/16 dev loden0 proto 76 scope link",
      "route 10.1.3.0/24 dev eth0 proto 76 scope link",
      "device loden0",
      "device mine",
      "firewall table loden-a",
      `file ${at("a.env")}`,
      'control socket and record of "a"',
    ]);
    expect([at("a.env"), at("a.sock"), recordPath(at("a.sock"))].filter(existsSync)).toEqual([]);
    expect([at("b.env"), recordPath(at("b.sock"))].every(existsSync)).toBe(true);
  });

  test("refuses while the daemon of this name runs", async () => {
    createRunRecord(madeBy("a"));
    await expect(clean()).rejects.toThrow(
      `lodend "a" (process ${process.pid}) runs, expected none of that name; stop it first`,
    );
  });
});

test("createDryRunStore() notes writes and does none", async () => {
  const storage = createMemoryStorage({ config: '{"Network":"10.1.0.0/16"}' });
  const { store, notes } = createDryRunStore(createMemoryLeaseStore(storage));
  const subnet = { ipv4: parsePrefix("10.1.5.0/24") };
  const lease = await store.claim(subnet, { backendType: "" }, { ttlMs: 1_000 });
  await store.renew(lease, { ttlMs: 1_000 });
  await store.release(lease);
  expect(notes).toEqual([
    "claim 10.1.5.0/24, which is free",
    "take over the lease on 10.1.5.0/24, which is this host's already",
    "release the lease on 10.1.5.0/24, which does not fit the network any more",
  ]);
  expect(storage.entries()).toEqual([]);
});

const now = Date.UTC(2026, 0, 1);
const instant = (seconds: number): string => new Date(now + seconds * 1_000).toISOString();
const status: Status = {
  name: "loden",
  version: "1.2.3",
  pid: 7,
  startedAt: instant(-60),
  ready: false,
  problems: ["the lease's time ran out"],
  warnings: ["the store: away"],
  network: "10.1.0.0/16",
  backend: "udp",
  subnet: "10.1.5.0/24",
  lease: { state: "unconfirmed", expiresAt: instant(-90) },
  publicIP: "192.0.2.1",
  publicIPv6: undefined,
  interface: "eth0",
  underlay: {
    kind: "vlan",
    mtu: 1_500,
    offloads: {
      txChecksum: true,
      tso: true,
      gso: true,
      udpSegmentation: false,
      udpTunnelSegmentation: false,
      gro: true,
    },
  },
  device: "loden0",
  mtu: 1_472,
  kernelPath: { on: true, decapsulates: "all", encapsulatesFor: "able" },
  traffic: {
    outbound: { packets: 1, bytes: 84, dropped: { noRoute: 0 } },
    inbound: { packets: 2, bytes: 168, dropped: { unknownSender: 3 } },
  },
  forged: { packets: 12, bytes: 1_000 },
  peers: [
    { subnet: "10.1.6.0/24", publicIP: "192.0.2.2", expiresAt: instant(82_800) },
    { subnet: "10.1.107.0/24", publicIP: undefined, expiresAt: undefined },
  ],
  peersAreFresh: false,
};

test.each<[KernelPathState | undefined, string | undefined]>([
  [undefined, undefined],
  [{ on: false, reason: "it is switched off" }, "all through this process: it is switched off"],
  [
    { on: true, decapsulates: "acks", encapsulatesFor: "all" },
    "plain ones in the kernel (takes TCP acknowledgements, sends to all peers), the rest through this process",
  ],
])("formatStatus() says which packets the kernel passes on when its state is %j", (kernelPath, text) => {
  const lines = formatStatus({ ...status, kernelPath }).split("\n");
  expect(lines.find((line) => line.startsWith("  packets"))?.slice(12)).toBe(text);
});

test("formatStatus() shows this host, its peers, and what is wrong", () => {
  expect(formatStatus(status, now).split("\n")).toEqual([
    'lodend 1.2.3 "loden" (process 7) is NOT ready',
    "  subnet    10.1.5.0/24 of 10.1.0.0/16, lease unconfirmed, ended 90 s ago",
    "  address   192.0.2.1, interface eth0",
    "  underlay  vlan, MTU 1500; offloads: checksums, TSO, GSO, GRO; without: UDP segmentation, UDP tunnel segmentation",
    "  device    loden0, MTU 1472, backend udp",
    "  packets   plain ones in the kernel (takes all, sends to able peers), the rest through this process",
    "  sent      1 packets, 84 bytes",
    "  received  2 packets, 168 bytes; dropped: unknownSender 3",
    "  forged    12 datagrams of containers, dropped",
    "peers (2, as last heard: the store does not answer)",
    "  10.1.6.0/24    192.0.2.2   lease ends in 23 h 0 min",
    "  10.1.107.0/24  no address  reserved",
    "wrong",
    "  - the lease's time ran out",
    "worth a look",
    "  - the store: away",
  ]);
});
