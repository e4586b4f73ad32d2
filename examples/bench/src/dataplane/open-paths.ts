import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import type { Attribute } from "@loden/netlink";
import { openRtnetlink } from "@loden/rtnetlink";
import {
  innerAddress,
  otherSide,
  outerAddress,
  type PathName,
  ports,
  type Side,
  type SubnetPath,
  TUNNEL_MTU,
} from "./addresses.ts";
import { placed } from "./processors.ts";
import { introduceRelays, type StartedRelay } from "./introduce-relays.ts";
import { joinKernelBackends } from "./join-kernel-backends.ts";
import type { Published, RelayAccount, RelayOptions } from "./relay-agent.ts";
import type { Selection } from "./select-measurements.ts";
import { startAgent } from "./start-agent.ts";
import type { HostSpace, Topology } from "./topology.ts";

/** The paths between the hosts that could be opened, side by side. */
export interface Paths {
  readonly names: readonly PathName[];
  /** The processes that carry a path's packets on a host; empty where the kernel does. */
  relays(path: PathName, side: Side): readonly number[];
  /** What Loden's own relays do now, on both hosts; undefined when they are not among the paths. */
  accounts(): Promise<Readonly<Record<Side, RelayAccount>> | undefined>;
}

type Relays = Partial<Record<PathName, Readonly<Record<Side, number>>>>;

/**
 * Opens every path that this machine can have between the hosts of a topology.
 *
 * @param topology the hosts.
 * @param selection which rows are wanted.
 * @param undo takes what has to be closed.
 * @returns the paths; what is missing is said on standard error, with what brings it.
 */
export async function openPaths(
  topology: Topology,
  { rows, base }: Pick<Selection, "rows" | "base">,
  undo: AsyncDisposableStack,
): Promise<Paths> {
  const relays: Relays = {};
  const names: PathName[] = [];
  let loden: Readonly<Record<Side, StartedRelay>> | undefined;
  const wanted = new Set(rows.map((row) => (row === "again" ? "loden" : row)));
  for (const path of wanted) {
    if ((path === "vxlan" || path === "vxlan6") && !(await addVxlan(topology, path))) continue;
    if (path === "socat" && !hasSocat()) {
      console.error("dataplane: socat is missing, so its row is too; on Debian: apt-get install -y socat");
      continue;
    }
    if (path === "loden-vxlan" || path === "loden-host-gw") {
      await joinKernelBackends(topology, path, undo);
    } else if (path === "socat") {
      relays[path] = {
        left: await startSocat(topology, "left", undo),
        right: await startSocat(topology, "right", undo),
      };
    } else if (path !== "bare" && path !== "vxlan" && path !== "vxlan6") {
      const started = {
        left: await startRelay(topology, path, "left", base, undo),
        right: await startRelay(topology, path, "right", base, undo),
      };
      await introduceRelays(started);
      relays[path] = { left: started.left.agent.pid, right: started.right.agent.pid };
      if (path === "loden") loden = started;
    }
    names.push(path);
  }
  return {
    names,
    relays: (path, side) => {
      const processes = relays[path];
      return processes === undefined ? [] : [processes[side]];
    },
    async accounts() {
      if (loden === undefined) return undefined;
      const { left, right } = loden;
      return { left: await left.agent.call("account"), right: await right.agent.call("account") };
    },
  };
}

async function startRelay(
  topology: Topology,
  path: SubnetPath,
  side: Side,
  base: string | undefined,
  undo: AsyncDisposableStack,
): Promise<StartedRelay> {
  const folder =
    path === "base" && base !== undefined
      ? pathToFileURL(`${base}/examples/bench/src/dataplane/`)
      : import.meta.url;
  const agent = startAgent(topology.hosts[side], new URL("relay-agent.ts", folder).href);
  undo.defer(() => agent.close());
  const { device } = topology.hosts[side];
  const options: RelayOptions = {
    path,
    side,
    software: path === "classic" ? "classic" : "loden",
    device,
    kernelPath: path === "userspace" ? "off" : undefined,
  };
  return { agent, published: await agent.call<Published | undefined>("start", options) };
}

// include/uapi/linux/if_link.h: IFLA_VXLAN_*
const VXLAN = { id: 1, link: 3, learning: 7, port: 15 } as const;
/** The other host and this one, by the family of their addresses. */
const VXLAN_ENDS = { 4: { group: 2, local: 4 }, 6: { group: 16, local: 17 } } as const;

/** As `ip link add vxlan0 type vxlan id 1 local … remote … dev … dstport 8472 nolearning`; for IPv6 as well the outer checksum is made and checked. */
async function addVxlan({ hosts }: Topology, path: "vxlan" | "vxlan6"): Promise<boolean> {
  const link = `${path}-0`;
  const macs = { left: "02:00:00:00:00:01", right: "02:00:00:00:00:02" } as const;
  for (const side of ["left", "right"] as const) {
    const { netns, device } = hosts[side];
    using rtnetlink = openRtnetlink({ netns });
    const lower = await rtnetlink.links.get(device);
    const data = vxlanData(lower?.index ?? 0, side, path);
    try {
      await rtnetlink.links.add({
        name: link,
        kind: "vxlan",
        mac: macs[side],
        addrGenMode: "none",
        data,
      });
    } catch (error) {
      console.error(`dataplane: no VXLAN, so its rows and ratios are missing: ${String(error)}`);
      return false;
    }
    const [own, other] = [innerAddress(path, side), innerAddress(path, otherSide(side))];
    const settings =
      own.family === 4 ? { prefixLength: 24 } : { prefixLength: 64, duplicateDetection: false };
    await rtnetlink.addresses.add({ link, address: own, ...settings });
    await rtnetlink.links.set(link, { up: true });
    await rtnetlink.neighbours.add({ link, address: other, mac: macs[otherSide(side)] });
  }
  return true;
}

function vxlanData(lower: number, side: Side, path: "vxlan" | "vxlan6"): readonly Attribute[] {
  const family = innerAddress(path, side).family;
  const port = ports[path];
  const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
  const values: readonly (readonly [type: number, value: Uint8Array])[] = [
    [VXLAN.id, u32(1)],
    [VXLAN.link, u32(lower)],
    [VXLAN_ENDS[family].local, outerAddress(side, family).toBytes()],
    [VXLAN_ENDS[family].group, outerAddress(otherSide(side), family).toBytes()],
    [VXLAN.learning, Uint8Array.of(0)],
    [VXLAN.port, Uint8Array.of(port >> 8, port & 255)],
  ];
  return values.map(([type, value]) => ({ type, flags: 0, value }));
}

function hasSocat(): boolean {
  return spawnSync("socat", ["-V"]).status === 0;
}

/** A TUN device whose packets socat, which knows nothing of overlays, puts into datagrams. */
async function startSocat({ hosts }: Topology, side: Side, undo: AsyncDisposableStack): Promise<number> {
  const { netns, processor } = hosts[side];
  const port = String(ports.socat);
  const own = outerAddress(side).toString();
  const other = outerAddress(otherSide(side)).toString();
  // It must not outlive this process.
  const socat = [
    "setpriv",
    "--pdeathsig",
    "KILL",
    "socat",
    `TUN:${innerAddress("socat", side).toString()}/24,tun-name=socat0,tun-type=tun,iff-no-pi,iff-up`,
    `UDP4-DATAGRAM:${other}:${port},bind=${own}:${port}`,
  ];
  const [command, ...words] = placed(socat, processor);
  const child = netns.run(() => spawn(command, words, { stdio: ["ignore", "inherit", "inherit"] }));
  undo.defer(() => ended(child));
  await deviceUp(hosts[side], "socat0");
  return child.pid ?? 0;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill();
  await exit;
}

async function deviceUp({ netns }: HostSpace, device: string): Promise<void> {
  using rtnetlink = openRtnetlink({ netns });
  const limit = AbortSignal.timeout(5_000);
  while ((await rtnetlink.links.get(device))?.up !== true) await sleep(10, undefined, { signal: limit });
  await rtnetlink.links.set(device, { mtu: TUNNEL_MTU });
}
