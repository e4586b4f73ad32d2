import { setTimeout as sleep } from "node:timers/promises";
import type { BenchmarkOptions, BenchmarkResult } from "./benchmark.ts";
import type { Agent } from "./dataplane/start-agent.ts";
import { median, quantile, ratioOf } from "./dataplane/summarize.ts";
import { openPeersField, type PeersField, readPump } from "./peers/open-field.ts";
import { overlayOf } from "./peers/overlays.ts";
import type { Changes } from "./peers/peers-agent.ts";

/** Name under which `npm run bench -- churn` finds this benchmark. */
export const name = "churn";

const SECONDS = 0.4;
const PEERS = 1024;
const CHANGES_PER_SECOND = 10_000;
/** Datagrams while processor time is measured: half of what a busy machine carries. */
const PACKETS_PER_SECOND = 20_000;
const PINGS = 1500;
/** The last one is the A/A row. */
const states = ["churn", "idle", "again"] as const;

/**
 * Compares a pump whose peers change 10,000 times a second with one whose peers stay: round-trip times to a peer that doesn't change, and
 * processor time for each packet to peers that do. Needs root.
 *
 * @param options how many interleaved rounds, and how many seconds each measurement takes.
 * @returns `cpuchurn/cpuidle`, `churn99/idle99`, `churn50/idle50`, the A/A rows, and the figures they come from.
 */
export async function run(options: BenchmarkOptions): Promise<BenchmarkResult> {
  await using undo = new AsyncDisposableStack();
  const field = await openPeersField(undo);
  const node = await field.startNode({ overlay: 0, side: "left", peers: PEERS, other: true });
  await field.startNode({ overlay: 0, side: "right", peers: 1, other: true });
  const readings = states.map((): Reading[] => []);
  for (let round = 0; round < options.rounds; round++) {
    for (const i of round % 2 === 0 ? [0, 1, 2] : [2, 1, 0]) {
      readings[i]?.push(await measure(field, node, states[i] === "churn", options.seconds ?? SECONDS));
    }
  }
  return summarize(readings);
}

interface Reading {
  /** Microseconds of the pump's thread for each packet. */
  readonly cpu: number;
  readonly samples: Float64Array;
  readonly changedPerSecond: number;
  /** What the main thread spends on the changes, of one processor. */
  readonly mainShare: number;
}

async function measure(field: PeersField, node: Agent, changing: boolean, seconds: number): Promise<Reading> {
  const start = performance.now();
  if (changing) await node.call("startChanges", { perSecond: CHANGES_PER_SECOND });
  const cpu = await measurePump(field, node, seconds);
  const samples = await measureRtt(field, seconds);
  const none: Changes = { changed: 0, seconds: 0 };
  const changes = changing ? await node.call<Changes>("stopChanges") : none;
  const elapsed = (performance.now() - start) / 1000;
  return {
    cpu,
    samples,
    changedPerSecond: changes.changed / elapsed,
    mainShare: changes.seconds / elapsed,
  };
}

async function measurePump({ sender }: PeersField, node: Agent, seconds: number): Promise<number> {
  const options = { network: overlayOf(0).first, perSecond: PACKETS_PER_SECOND };
  await sender.call("start", { thread: 0, name: "sendSpread", options });
  await sleep(100);
  const before = await readPump(node);
  await sleep(seconds * 1000);
  const after = await readPump(node);
  await sender.call("finish", { thread: 0, stop: true });
  return (after.nanoseconds - before.nanoseconds) / (after.packets - before.packets) / 1000;
}

function measureRtt({ sender }: PeersField, seconds: number): Promise<Float64Array> {
  const to = { address: overlayOf(0).hosts.right.toBytes(), port: 0 };
  const options = { to, count: PINGS, atMostMs: seconds * 1000 };
  return sender
    .call("start", { thread: 1, name: "ping", options })
    .then(() => sender.call<Float64Array>("finish", { thread: 1, stop: false }));
}

function summarize(readings: readonly (readonly Reading[])[]): BenchmarkResult {
  const [churn = [], idle = [], again = []] = readings;
  const cpus = (rows: readonly Reading[]): readonly number[] => rows.map(({ cpu }) => cpu);
  const ratio = (rows: readonly Reading[]): number => ratioOf(cpus(rows), cpus(idle))?.median ?? Number.NaN;
  // All rounds together: a percentile of few samples is a single accident.
  const rtt = (rows: readonly Reading[], share: number): number =>
    quantile(
      rows.flatMap(({ samples }) => [...samples]),
      share,
    );
  return {
    ratios: {
      "cpuchurn/cpuidle": ratio(churn),
      "cpuidle/cpuidle": ratio(again),
      "churn99/idle99": rtt(churn, 0.99) / rtt(idle, 0.99),
      "idle99/idle99": rtt(again, 0.99) / rtt(idle, 0.99),
      "churn50/idle50": rtt(churn, 0.5) / rtt(idle, 0.5),
    },
    figures: {
      "cpuchurn us/packet": median(cpus(churn)),
      "cpuidle us/packet": median(cpus(idle)),
      "churn p50 us": rtt(churn, 0.5),
      "churn p99 us": rtt(churn, 0.99),
      "idle p50 us": rtt(idle, 0.5),
      "idle p99 us": rtt(idle, 0.99),
      "changes/s": median(churn.map(({ changedPerSecond }) => changedPerSecond)),
      "main thread share": median(churn.map(({ mainShare }) => mainShare)),
    },
  };
}
