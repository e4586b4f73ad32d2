import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createNetns, type Netns } from "@loden/netns";
import { openRtnetlink } from "@loden/rtnetlink";
import { outerAddress, type Side, UNDERLAY_MTU } from "./addresses.ts";
import { joinPorts } from "./join-ports.ts";
import { sendFinishedFrames } from "./link-offloads.ts";
import { findKernelThreads, letGoFirst, pinThread, type Processors } from "./processors.ts";

/** The two ways to join the hosts. */
export type TopologyName = "veth" | "wire";

/** A host's namespace and what runs in it besides processes. */
export interface HostSpace {
  readonly netns: Netns;
  /** Its device on the underlay. */
  readonly device: string;
  /** The processor that everything of this host runs on, where it is pinned. */
  readonly processor: number | undefined;
  /** Threads of the kernel that work for this host alone. */
  readonly kernelThreads: readonly number[];
}

/** Two hosts and what joins them. */
export interface Topology {
  readonly name: TopologyName;
  readonly hosts: Readonly<Record<Side, HostSpace>>;
  /** Threads of the kernel that carry frames between the hosts, and count for neither. */
  readonly wireThreads: readonly number[];
  /** Whether the threads of the kernel could be told apart, so that processor time means something. */
  readonly accountable: boolean;
}

/**
 * Joins two hosts in anonymous namespaces of their own: what is made goes away with the last process that uses it.
 *
 *     veth:   left --------------------------------- right      as it is: packets cross whole, their checksums unfinished
 *
 *     wire:   left ------- port --- XDP --- port ------- right  every packet is cut into frames and gets its checksum before it leaves left or
 *                                                               right; frames are merged (GRO) by the one that receives them, in a NAPI thread
 *
 * @param name which one.
 * @param processors where to pin the wire's hosts; without it nothing is pinned.
 * @param undo takes what has to be closed.
 * @returns the hosts.
 */
export async function buildTopology(
  name: TopologyName,
  processors: Processors | undefined,
  undo: DisposableStack,
): Promise<Topology> {
  const spaces = { left: makeSpace(undo), right: makeSpace(undo), wire: makeSpace(undo) };
  // Names of kernel threads derive from those of devices, so no two runs on one machine may share them.
  const id = process.pid.toString(36);
  const devices = { left: `l${id}`, right: `r${id}` };
  if (name === "veth") {
    await addVeth(
      { netns: spaces.left, device: devices.left },
      { netns: spaces.right, device: devices.right },
    );
    await addAddresses(spaces, devices);
    return {
      name,
      hosts: { left: hostOf("left"), right: hostOf("right") },
      wireThreads: [],
      accountable: false,
    };
  }
  const portsOf = { left: `p${id}`, right: `q${id}` };
  for (const side of ["left", "right"] as const) {
    await addVeth(
      { netns: spaces[side], device: devices[side] },
      { netns: spaces.wire, device: portsOf[side] },
    );
  }
  await addAddresses(spaces, devices);
  // Before XDP is there: it takes segmentation away too, and then there is nothing to switch.
  for (const side of ["left", "right"] as const) sendFinishedFrames(spaces[side], devices[side]);
  await joinPorts(spaces.wire, portsOf.left, portsOf.right);
  for (const side of ["left", "right"] as const) {
    threadNapi(spaces[side], devices[side]);
    threadNapi(spaces.wire, portsOf[side]);
  }
  const accountable = pinNapi(devices, portsOf, processors);
  return {
    name,
    hosts: { left: hostOf("left", processors), right: hostOf("right", processors) },
    wireThreads: [...findNapi(portsOf.left), ...findNapi(portsOf.right)],
    accountable,
  };

  function hostOf(side: Side, pins?: Processors): HostSpace {
    const processor = pins?.[side];
    return {
      netns: spaces[side],
      device: devices[side],
      processor,
      kernelThreads:
        processor === undefined
          ? []
          : [...findNapi(devices[side]), ...findKernelThreads(new RegExp(`^ksoftirqd/${processor}$`))],
    };
  }
}

/** Whether every NAPI thread was found and pinned: those of the hosts to their processors, those of the wire to the sender's. */
function pinNapi(
  devices: Readonly<Record<Side, string>>,
  portsOf: Readonly<Record<Side, string>>,
  processors: Processors | undefined,
): boolean {
  if (processors === undefined) return false;
  const done = (["left", "right"] as const).flatMap((side) => {
    const own = findNapi(devices[side]);
    const wire = findNapi(portsOf[side]);
    if (own.length === 0 || wire.length === 0) return [false];
    return [
      ...own.map((thread) => pinThread(thread, processors[side])),
      // A wire does not wait until its sender has nothing else to do.
      ...wire.map((thread) => pinThread(thread, processors.left) && letGoFirst(thread)),
    ];
  });
  return done.every(Boolean);
}

function findNapi(device: string): readonly number[] {
  return findKernelThreads(new RegExp(`^napi/${device}-`));
}

function makeSpace(undo: DisposableStack): Netns {
  const netns = undo.use(createNetns());
  netns.setSysctl("net/ipv4/ip_forward", 1);
  // A tail that is lost would else be waited for longer than a measurement lasts. Kernels before 6.11 don't have it.
  if (existsSync("/proc/sys/net/ipv4/tcp_rto_min_us")) netns.setSysctl("net/ipv4/tcp_rto_min_us", 5_000);
  for (const name of ["all", "default"]) netns.setSysctl(`net/ipv4/conf/${name}/rp_filter`, 0);
  return netns;
}

interface End {
  readonly netns: Netns;
  readonly device: string;
}

async function addVeth(from: End, to: End): Promise<void> {
  using rtnetlink = openRtnetlink({ netns: from.netns });
  const settings = { mtu: UNDERLAY_MTU, addrGenMode: "none", up: true } as const;
  const peer = { name: to.device, netns: to.netns, ...settings };
  await rtnetlink.links.add({ name: from.device, kind: "veth", peer, ...settings });
}

async function addAddresses(
  spaces: Readonly<Record<Side, Netns>>,
  devices: Readonly<Record<Side, string>>,
): Promise<void> {
  for (const side of ["left", "right"] as const) {
    using rtnetlink = openRtnetlink({ netns: spaces[side] });
    const link = devices[side];
    await rtnetlink.links.set("lo", { up: true });
    await rtnetlink.addresses.add({ link, address: outerAddress(side), prefixLength: 24 });
    const ipv6 = { address: outerAddress(side, 6), prefixLength: 64, duplicateDetection: false };
    await rtnetlink.addresses.add({ link, ...ipv6 });
  }
}

/** As `echo 1 >/sys/class/net/DEVICE/threaded`, in a mount namespace that shows this network namespace's devices. */
function threadNapi(netns: Netns, device: string): void {
  const script = `mount -t sysfs sysfs /sys && echo 1 >/sys/class/net/${device}/threaded`;
  netns.run(() => spawnSync("unshare", ["--mount", "--propagation", "private", "sh", "-c", script]));
}
