import { setTimeout as sleep } from "node:timers/promises";
import { readDevice } from "../dataplane/read-device.ts";
import type { Agent } from "../dataplane/start-agent.ts";
import type { Snapshot } from "../dataplane/traffic-agent.ts";
import type { PeersField } from "./open-field.ts";
import { endpointsFrom, spreadOf } from "./overlays.ts";
import type { Spread } from "./send-spread.ts";

/** Until then each of the destinations has had a packet, most of them two: what the kernel has to remember of each it knows then. */
export const WARM_UP_MS = 600;

/** What sends, where to, and the node whose userspace is to see nothing of it. */
export interface Sender {
  readonly name: string;
  readonly spread: Spread;
  readonly node?: Agent;
}

/** Senders of datagrams to as many endpoints as there may be peers, and to one, without any overlay. */
export const plainSenders: readonly Sender[] = [
  { name: "plain65536", spread: { first: endpointsFrom, step: 1, addresses: 65_536 } },
  { name: "plain1", spread: { first: endpointsFrom, step: 1, addresses: 1 } },
];

/**
 * Nodes with a kernel path: of two with 65,536 peers one has an endpoint for each and one a single one, and the last has the fewest peers that a network may have subnets for,
 * two. None where the kernel passes nothing on.
 *
 * @param field the hosts.
 * @returns a sender for each.
 */
export async function startKernelPaths(field: PeersField): Promise<readonly Sender[]> {
  const senders: Sender[] = [];
  for (const [overlay, of, peers, subnetLength, endpoints] of [
    [1, "cpu65536Kernel", 65_536, 24, "each"],
    [2, "cpu65536Kernel on one endpoint", 65_536, 24, "one"],
    [3, "cpu2Kernel", 2, 9, "each"],
  ] as const) {
    const options = { overlay, side: "left", peers, other: false, kernelPath: "auto", subnetLength } as const;
    const node = await field.startNode(options);
    if (!node.kernelPath.on) {
      console.error(
        `lookup: the kernel passes nothing on, so its rows are missing: ${node.kernelPath.reason}`,
      );
      return [];
    }
    await node.call("setPeers", { overlay, peers, endpoints });
    const sender = { name: of, spread: spreadOf(overlay), node };
    await waysAreKnown(field, sender);
    senders.push(sender);
  }
  return senders;
}

/** Sends until userspace has nothing of it any more; the first of 65,536 ways are used when the last is known. */
async function waysAreKnown({ sender }: PeersField, { name: of, spread, node }: Sender): Promise<void> {
  const pumped = async () => (await node?.call<number>("pumped")) ?? 0;
  for (let attempt = 0; attempt < 100; attempt++) {
    await sleep(200);
    const before = await pumped();
    await sender.call("start", { thread: 0, name: "sendSpread", options: { ...spread, perSecond: 10_000 } });
    await sleep(100);
    await sender.call("finish", { thread: 0, stop: true });
    if ((await pumped()) === before) return;
  }
  throw new Error(`Cannot measure ${of}: userspace still has packets after 20 s, expected the kernel to`);
}

/**
 * Measures a sender.
 *
 * @param field the hosts. @param sender which. @param seconds how long.
 * @returns microseconds of its process for each datagram, with all that the kernel does in its time.
 */
export async function measureSender(
  { sender, topology }: PeersField,
  { name: of, spread, node }: Sender,
  seconds: number,
): Promise<number> {
  const { netns, device } = topology.hosts.right;
  const read = async () => ({
    ...(await sender.call<Snapshot>("snapshot", { processes: [], device: "lo" })),
    arrived: netns.run(() => readDevice(device)).received.packets,
    pumped: (await node?.call<number>("pumped")) ?? 0,
  });
  await sender.call("start", { thread: 0, name: "sendSpread", options: spread });
  await sleep(WARM_UP_MS);
  const before = await read();
  await sleep(seconds * 1000);
  const after = await read();
  await sender.call("finish", { thread: 0, stop: true });
  const packets = after.packets - before.packets;
  const [arrived, pumped] = [after.arrived - before.arrived, after.pumped - before.pumped];
  // The accounts are not read at one moment.
  if (pumped > packets / 100 || arrived < 0.9 * packets)
    throw new Error(
      `Cannot measure ${of}: of ${packets} packets ${arrived} arrived and userspace had ${pumped}, expected all, and a hundredth at most`,
    );
  return ((after.processorSeconds - before.processorSeconds) / packets) * 1e6;
}
