import { setTimeout as sleep } from "node:timers/promises";
import type { Agent } from "../dataplane/start-agent.ts";
import { readDevice } from "../dataplane/read-device.ts";
import type { Snapshot } from "../dataplane/traffic-agent.ts";
import { type PeersField, readMain, readPump } from "./open-field.ts";
import { overlayOf, spreadOf } from "./overlays.ts";
import type { Changes } from "./peers-agent.ts";

const CHANGES_PER_SECOND = 10_000;
/** Datagrams while processor time is measured: half of what a busy machine carries. */
const PACKETS_PER_SECOND = 20_000;
const PINGS = 1500;
/** What is on its way when the sender ends arrives within that. */
const DRAIN_MS = 50;

/** What is measured: the left host's node of an overlay, whose peers change. */
export interface ChurnSubject {
  readonly node: Agent;
  readonly overlay: number;
  /** How many of the overlay's subnets its peers have; all of them without it. */
  readonly subnets?: number;
}

/** What one measurement gave. */
export interface ChurnReading {
  /** Microseconds of the pump's thread for each packet. */
  readonly cpu: number;
  /** The part of the packets to peers that change that came out at the other end of the underlay. */
  readonly delivered: number;
  /** The part of them that userspace has read from the TUN device. */
  readonly pumped: number;
  /** Round-trip times to the peer that doesn't change, in microseconds. */
  readonly samples: Float64Array;
  readonly changedPerSecond: number;
  /** What the main thread spends on the changes, of one processor. */
  readonly mainShare: number;
  /** Microseconds for which the main thread has a processor, for each change. */
  readonly mainPerChange: number;
}

/**
 * Measures a backend while its peers change 10,000 times a second, or stay.
 *
 * @param field the hosts. @param subject which backend. @param changing whether its peers change. @param seconds of each of the two measurements.
 */
export async function measureChurn(
  field: PeersField,
  subject: ChurnSubject,
  changing: boolean,
  seconds: number,
): Promise<ChurnReading> {
  const { node } = subject;
  const [start, main] = [performance.now(), readMain(node)];
  if (changing) await node.call("startChanges", { perSecond: CHANGES_PER_SECOND });
  const moved = await measureSpread(field, subject, seconds);
  const samples = await measureRtt(field, subject, seconds);
  const none: Changes = { changed: 0, seconds: 0 };
  const changes = changing ? await node.call<Changes>("stopChanges") : none;
  const elapsed = (performance.now() - start) / 1000;
  return {
    ...moved,
    samples,
    changedPerSecond: changes.changed / elapsed,
    mainShare: changes.seconds / elapsed,
    mainPerChange: (readMain(node) - main) / 1000 / changes.changed,
  };
}

/** Sends to the peers that change. */
async function measureSpread(
  { sender, topology }: PeersField,
  { node, overlay, subnets }: ChurnSubject,
  seconds: number,
): Promise<Pick<ChurnReading, "cpu" | "delivered" | "pumped">> {
  const { netns, device } = topology.hosts.right;
  const read = async () => ({
    sent: (await sender.call<Snapshot>("snapshot", { processes: [], device: "lo" })).packets,
    arrived: netns.run(() => readDevice(device)).received.packets,
    pumped: await node.call<number>("pumped"),
  });
  const before = await read();
  const options = { ...spreadOf(overlay, subnets), perSecond: PACKETS_PER_SECOND };
  await sender.call("start", { thread: 0, name: "sendSpread", options });
  await sleep(100);
  const first = await readPump(node);
  await sleep(seconds * 1000);
  const last = await readPump(node);
  await sender.call("finish", { thread: 0, stop: true });
  await sleep(DRAIN_MS);
  const after = await read();
  const sent = after.sent - before.sent;
  return {
    cpu: (last.nanoseconds - first.nanoseconds) / (last.packets - first.packets) / 1000,
    delivered: (after.arrived - before.arrived) / sent,
    pumped: (after.pumped - before.pumped) / sent,
  };
}

async function measureRtt(
  { sender }: PeersField,
  { overlay }: ChurnSubject,
  seconds: number,
): Promise<Float64Array> {
  const to = { address: overlayOf(overlay).hosts.right.toBytes(), port: 0 };
  const options = { to, count: PINGS, atMostMs: seconds * 1000 };
  await sender.call("start", { thread: 1, name: "ping", options });
  return sender.call<Float64Array>("finish", { thread: 1, stop: false });
}
