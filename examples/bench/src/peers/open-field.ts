import { readdirSync, readFileSync } from "node:fs";
import type { UdpBackend } from "@loden/backend-udp";
import { openRtnetlink } from "@loden/rtnetlink";
import type { Side } from "../dataplane/addresses.ts";
import { chooseProcessors } from "../dataplane/processors.ts";
import { type Agent, startAgent } from "../dataplane/start-agent.ts";
import { buildTopology, type Topology } from "../dataplane/topology.ts";
import { endpoints, router } from "./overlays.ts";
import type { PeersOptions } from "./peers-agent.ts";

/** Two hosts over a veth: the left one has the peers and a process that sends, on a processor of its own where there are two. */
export interface PeersField {
  readonly topology: Topology;
  /** What sends. */
  readonly sender: Agent;
  /** Starts a node of an overlay on a host. */
  startNode(options: Omit<PeersOptions, "link">): Promise<PeersNode>;
}

/** A node that has started, and what its kernel path did then. */
export interface PeersNode extends Agent {
  readonly kernelPath: UdpBackend["kernelPath"];
}

/**
 * Opens the hosts.
 *
 * @param undo takes what has to be closed.
 * @returns the field.
 */
export async function openPeersField(undo: AsyncDisposableStack): Promise<PeersField> {
  const spaces = undo.adopt(new DisposableStack(), (stack) => stack.dispose());
  const topology = await buildTopology("veth", undefined, spaces);
  const { left } = topology.hosts;
  using rtnetlink = openRtnetlink({ netns: left.netns });
  // What is sent to a peer that is nowhere goes to a router that is nowhere: the other host sees that it is not meant. Without that, its search
  // for a socket and a route would count as the pump's, in whose time it runs.
  await rtnetlink.neighbours.add({ link: left.device, address: router, mac: "02:00:00:00:00:fe" });
  await rtnetlink.routes.add({ destination: endpoints, gateway: router, link: left.device });
  const processors = chooseProcessors();
  const start = (side: Side, processor: number | undefined, module: string): Agent =>
    undo.adopt(startAgent({ ...topology.hosts[side], processor }, import.meta.resolve(module)), (agent) =>
      agent.close(),
    );
  return {
    topology,
    sender: start("left", processors?.left, "../dataplane/traffic-agent.ts"),
    async startNode(options) {
      const node = start(
        options.side,
        options.side === "left" ? processors?.right : processors?.left,
        "./peers-agent.ts",
      );
      const { device: link } = topology.hosts[options.side];
      return { ...node, kernelPath: await node.call("start", { ...options, link }) };
    },
  };
}

/** What a node's pump has done so far. */
export interface PumpAccount {
  /** Packets to peers. */
  readonly packets: number;
  /** Nanoseconds that its thread has run, by the scheduler's account; as `getrusage(RUSAGE_THREAD)`, but finer. */
  readonly nanoseconds: number;
}

/** Reads the account of a node's pump. */
export async function readPump(node: Agent): Promise<PumpAccount> {
  const threads = readdirSync(`/proc/${node.pid}/task`).map((id) => `/proc/${node.pid}/task/${id}`);
  const pumps = threads.filter((thread) => readFileSync(`${thread}/comm`, "utf8").trim() === "loden-pump");
  const times = pumps.map((thread) => Number(readFileSync(`${thread}/schedstat`, "utf8").split(" ")[0]));
  return {
    packets: await node.call<number>("packets"),
    nanoseconds: times.reduce((sum, time) => sum + time, 0),
  };
}

/** Nanoseconds that a node's main thread has run: what applies peers. */
export function readMain({ pid }: Agent): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, "utf8").split(" ")[0]);
}
