import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { openFirewall } from "@loden/firewall";
import type { Address, AddressFamily } from "@loden/ip";
import type { LeaseStore } from "@loden/lease";
import { desiredRules, openBackend, runNode, type NodeEvent, type NodeState } from "@loden/lodend";
import { createNetns, deleteNetns, type Netns } from "@loden/netns";
import { openRtnetlink } from "@loden/rtnetlink";
import { parseSubnetEnv } from "@loden/subnet";
import { makeContainers, type Container, type Numbering } from "./containers.ts";
import { familiesOf, type LabSettings } from "./lab-settings.ts";
import type { HostView } from "./lab-view.ts";
import { folderName, netnsName } from "./names.ts";
import { openPinger, type Pinger } from "./ping.ts";
import type { Underlay } from "./underlay.ts";
import { PROTOCOL, viewOf } from "./view-of.ts";

/** One host of the lab: a namespace with a Loden node and two containers. */
export interface LabHost {
  readonly name: string;
  /** Its own address on the underlay in each family of the overlay. */
  readonly addresses: readonly Address[];
  /** Where its containers are; empty before it has joined and after it has stopped. */
  readonly containers: readonly Container[];
  /** Pings from its first container; `null` when no answer comes in time, and after the host has stopped. */
  ping(to: Address, timeoutMs: number): Promise<number | null>;
  /** Aborted when the host is being stopped. */
  readonly stopping: AbortSignal;
  /** What the screen shows of it. */
  view(): Promise<HostView>;
  /** Deletes its routes to the overlay, as somebody else might. */
  breakRoute(): Promise<void>;
  /** Stops the node and gives its lease back. */
  stop(): Promise<void>;
}

/** What {@link startHost} needs. */
export interface StartHostOptions {
  /** 1 for the first host. */
  readonly number: number;
  readonly settings: LabSettings;
  readonly underlay: Underlay;
  /** This host's own handle on the leases; the host closes it. */
  readonly store: LeaseStore;
  onEvent(host: string, event: NodeEvent): void;
  /** Told when the node fails after it has joined. */
  onFailure(host: string, error: unknown): void;
}

/**
 * Starts a host: plugs it into the underlay, runs a node in it, and numbers containers from its `subnet.env`.
 *
 * @param options where and with what.
 * @returns the host, once it has joined.
 */
export async function startHost(options: StartHostOptions): Promise<LabHost> {
  const { number, settings, underlay, store } = options;
  const name = `host${number}`;
  const stop = new AbortController();
  await using undo = new AsyncDisposableStack();
  undo.use(store);
  const netns = makeNamespace(name, settings, undo);
  const folder = makeFolder(name);
  undo.defer(() => rmSync(folder, { recursive: true }));
  const attached = await underlay.plug(netns, number);
  const subnetFile = join(folder, "subnet.env");
  const joined = Promise.withResolvers<NodeState>();
  let state: "joining" | "up" | "failed" | "stopped" = "joining";
  const ended = runNode(
    {
      store,
      openBackend: (network) =>
        openBackend(network, { netns, underlay: attached, kernelPath: settings.kernelPath }),
      subnetFile,
      ipMasq: settings.nat,
      releaseOnExit: true,
      onEvent: (event) => options.onEvent(name, event),
      signal: stop.signal,
    },
    joined.resolve,
  ).catch((error: unknown) => {
    // Whoever waits for it to join is told; later on there is nobody but the screen.
    joined.reject(error);
    if (state !== "up") return;
    state = "failed";
    options.onFailure(name, error);
  });
  undo.defer(async () => {
    stop.abort();
    await ended;
  });
  const node = await joined.promise;
  if (settings.nat) await masquerade(netns, node, undo);
  const containers = await makeContainers(netns, name, readNumbering(subnetFile));
  undo.defer(() => containers.close());
  const pingers = new Map<AddressFamily, Pinger>();
  for (const family of familiesOf(settings))
    pingers.set(family, undo.use(openPinger(containers.first.netns, family)));
  const rtnetlink = undo.use(openRtnetlink({ netns }));
  const everything = undo.move();
  state = "up";

  return {
    name,
    addresses: [attached.ipv4, attached.ipv6].filter((address) => address !== undefined),
    get containers() {
      return state === "stopped" ? [] : containers.all;
    },
    ping: async (to, timeoutMs) =>
      state === "stopped" ? null : ((await pingers.get(to.family)?.ping(to, timeoutMs)) ?? null),
    stopping: stop.signal,
    view: () => viewOf({ name, state, node, rtnetlink }),
    async breakRoute() {
      await rtnetlink.routes.deleteMany(await rtnetlink.routes.list({ protocol: PROTOCOL }));
    },
    async stop() {
      if (state === "stopped") return;
      state = "stopped";
      stop.abort();
      await everything.disposeAsync();
    },
  };
}

function makeNamespace(name: string, settings: LabSettings, undo: AsyncDisposableStack): Netns {
  const netns = createNetns({ name: netnsName(name) });
  undo.defer(() => {
    netns.close();
    deleteNetns(netnsName(name));
  });
  netns.setSysctl("net/ipv4/ip_forward", 1);
  // A router tells on all its devices which multicast groups of routers it is in; on an overlay without IPv6 that would only be dropped.
  if (familiesOf(settings).includes(6)) netns.setSysctl("net/ipv6/conf/all/forwarding", 1);
  return netns;
}

function makeFolder(name: string): string {
  const folder = folderName(name);
  mkdirSync(folder, { mode: 0o700 });
  return folder;
}

/** Adds the rules that `lodend --ip-masq` adds. */
async function masquerade(
  netns: Netns,
  { network, lease: { subnet } }: NodeState,
  undo: AsyncDisposableStack,
): Promise<void> {
  const settings = { masquerade: true, fullyRandom: true, except: [], forward: true, dropForged: true };
  const firewall = undo.use(openFirewall({ netns }));
  await firewall.apply(desiredRules({ network, subnet, link: "eth0", settings }));
}

/** What `dockerd` would be told of the file. */
function readNumbering(file: string): Numbering {
  const { subnet, mtu } = parseSubnetEnv(readFileSync(file, "utf8"));
  const subnets = [subnet.ipv4, subnet.ipv6].filter((prefix) => prefix !== undefined);
  if (subnets.length === 0 || mtu === undefined) {
    throw new Error(`Cannot number containers: ${file} lacks FLANNEL_SUBNET or FLANNEL_MTU, expected both`);
  }
  return { subnets, mtu };
}
