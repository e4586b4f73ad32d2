import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { BackendStats } from "@loden/backend";
import { openUdpBackend, type UdpBackend } from "@loden/backend-udp";
import type { Address } from "@loden/ip";
import type { LeaseStore } from "@loden/lease";
import { runNode, type NodeEvent, type NodeState } from "@loden/lodend";
import { createNetns, deleteNetns, type Netns } from "@loden/netns";
import { openRtnetlink, type Rtnetlink } from "@loden/rtnetlink";
import { parseSubnetEnv } from "@loden/subnet";
import { makeContainers, type Container, type Numbering } from "./containers.ts";
import type { HostView } from "./lab-view.ts";
import { folderName, netnsName } from "./names.ts";
import { openPinger } from "./ping.ts";
import { UNDERLAY_MTU, type Underlay } from "./underlay.ts";

/** Route protocol number of Loden. */
const PROTOCOL = 76;

/** One host of the lab: a namespace with a Loden node and two containers. */
export interface LabHost {
  readonly name: string;
  /** Where its containers are; empty before it has joined and after it has stopped. */
  readonly containers: readonly Container[];
  /** Pings from its first container; `null` when no answer comes in time, and after the host has stopped. */
  ping(to: Address, timeoutMs: number): Promise<number | null>;
  /** Aborted when the host is being stopped. */
  readonly stopping: AbortSignal;
  /** What the screen shows of it. */
  view(): Promise<HostView>;
  /** Deletes its route to the overlay, as somebody else might. */
  breakRoute(): Promise<void>;
  /** Stops the node and gives its lease back. */
  stop(): Promise<void>;
}

/** What {@link startHost} needs. */
export interface StartHostOptions {
  /** 1 for the first host. */
  readonly number: number;
  readonly underlay: Underlay;
  /** This host's own handle on the leases; the host closes it. */
  readonly store: LeaseStore;
  onEvent(host: string, event: NodeEvent): void;
}

/**
 * Starts a host: plugs it into the underlay, runs a node in it, and numbers containers from its `subnet.env`.
 *
 * @param options where and with what.
 * @returns the host, once it has joined.
 */
export async function startHost(options: StartHostOptions): Promise<LabHost> {
  const { number, underlay, store } = options;
  const name = `host${number}`;
  const stop = new AbortController();
  await using undo = new AsyncDisposableStack();
  undo.use(store);
  const netns = makeNamespace(name, undo);
  const folder = makeFolder(name);
  undo.defer(() => rmSync(folder, { recursive: true }));
  const publicIP = await underlay.plug(netns, number);
  const subnetFile = join(folder, "subnet.env");
  const joined = Promise.withResolvers<NodeState>();
  const ended = runNode(
    {
      store,
      openBackend: () =>
        openUdpBackend({ netns, underlay: { link: "eth0", mtu: UNDERLAY_MTU, ipv4: publicIP } }),
      subnetFile,
      releaseOnExit: true,
      onEvent: (event) => options.onEvent(name, event),
      signal: stop.signal,
    },
    joined.resolve,
  );
  undo.defer(async () => {
    stop.abort();
    await ended;
  });
  ended.catch(joined.reject);
  const { lease, backend } = await joined.promise;
  const containers = await makeContainers(netns, name, readNumbering(subnetFile));
  undo.defer(() => containers.close());
  const pinger = undo.use(openPinger(containers.first.netns));
  const rtnetlink = undo.use(openRtnetlink({ netns }));
  const everything = undo.move();
  let stopped = false;

  return {
    name,
    get containers() {
      return stopped ? [] : containers.all;
    },
    ping: async (to, timeoutMs) => (stopped ? null : await pinger.ping(to, timeoutMs)),
    stopping: stop.signal,
    view: () =>
      viewOf({
        name,
        publicIP,
        subnet: String(lease.subnet.ipv4),
        backend: backend as UdpBackend,
        rtnetlink,
        stopped,
      }),
    async breakRoute() {
      await rtnetlink.routes.deleteMany(await rtnetlink.routes.list({ protocol: PROTOCOL }));
    },
    async stop() {
      if (stopped) return;
      stopped = true;
      stop.abort();
      await everything.disposeAsync();
    },
  };
}

function makeNamespace(name: string, undo: AsyncDisposableStack): Netns {
  const netns = createNetns({ name: netnsName(name) });
  undo.defer(() => {
    netns.close();
    deleteNetns(netnsName(name));
  });
  netns.setSysctl("net/ipv4/ip_forward", 1);
  return netns;
}

function makeFolder(name: string): string {
  const folder = folderName(name);
  mkdirSync(folder, { mode: 0o700 });
  return folder;
}

/** What `dockerd` would be told of the file. */
function readNumbering(file: string): Numbering {
  const { subnet, mtu } = parseSubnetEnv(readFileSync(file, "utf8"));
  if (subnet.ipv4 === undefined || mtu === undefined) {
    throw new Error(`Cannot number containers: ${file} lacks FLANNEL_SUBNET or FLANNEL_MTU, expected both`);
  }
  return { subnet: subnet.ipv4, mtu };
}

interface Shown {
  readonly name: string;
  readonly publicIP: Address;
  readonly subnet: string;
  readonly backend: UdpBackend;
  readonly rtnetlink: Rtnetlink;
  readonly stopped: boolean;
}

async function viewOf({ name, publicIP, subnet, backend, rtnetlink, stopped }: Shown): Promise<HostView> {
  const stats = backend.stats();
  const list = stopped ? [] : await rtnetlink.routes.list({ protocol: PROTOCOL });
  return {
    name,
    state: stopped ? "stopped" : "up",
    publicIP: String(publicIP),
    subnet,
    device: backend.deviceName,
    mtu: backend.mtu,
    peers: stopped ? 0 : stats.peers,
    routes: list.map((route) => `${route.destination.toString()} dev ${route.link}`),
    sent: stats.outbound,
    received: stats.inbound,
    drops: allDrops(stats),
  };
}

function allDrops({ outbound, inbound }: BackendStats): Record<string, number> {
  const sum: Record<string, number> = { ...outbound.dropped };
  for (const [reason, count] of Object.entries(inbound.dropped)) sum[reason] = (sum[reason] ?? 0) + count;
  return sum;
}
