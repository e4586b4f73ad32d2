import { setTimeout as sleep } from "node:timers/promises";
import type { BenchmarkOptions, BenchmarkResult } from "./benchmark.ts";
import { median, ratioOf } from "./dataplane/summarize.ts";
import type { Agent } from "./dataplane/start-agent.ts";
import type { Snapshot } from "./dataplane/traffic-agent.ts";
import { createBareTable, measureBareLookup } from "./peers/measure-bare-lookup.ts";
import { openPeersField, type PeersField, readPump } from "./peers/open-field.ts";
import { endpointsFrom, spreadOf } from "./peers/overlays.ts";

/** Name under which `npm run bench -- lookup` finds this benchmark. */
export const name = "lookup";

const SECONDS = 0.4;
/** What is compared with one peer: the one that is the same is the A/A row. */
const cases = [
  { name: "65536", peers: 65_536, endpoints: "each" },
  { name: "65536 on one endpoint", peers: 65_536, endpoints: "one" },
  { name: "256", peers: 256, endpoints: "each" },
  { name: "1", peers: 1, endpoints: "each" },
  { name: "1 again", peers: 1, endpoints: "each" },
] as const;
const single = 3;

/**
 * Compares tables of 65,536, 256 and one peer, with uniformly random destinations: the lookup alone, and the processor time that a real pump
 * takes for a packet from the TUN device to the socket. With an endpoint for each peer, that has in it what the kernel does for a datagram to
 * one of many destinations; with all peers on one endpoint, the rest. What the kernel takes for many destinations is also measured of a
 * program that sends datagrams to the same endpoints, or to one, and does nothing else. Needs root.
 *
 * @param options how many interleaved rounds, and how many seconds each measurement takes.
 * @returns `cpu65536/cpu1`, `lookup65536/lookup1`, their like for the other cases, `plain65536/plain1` of the plain sender,
 * `cpu65536 less plain/cpu1`, from which what the plain sender takes more for many is subtracted, and the figures they come from.
 */
export async function run(options: BenchmarkOptions): Promise<BenchmarkResult> {
  await using undo = new AsyncDisposableStack();
  const field = await openPeersField(undo);
  // One pump for all tables: no two processes are equally quick.
  const node = await field.startNode({ overlay: 0, side: "left", peers: 1, other: false, kernelPath: "off" });
  const tables = cases.map(({ peers }) => createBareTable(peers));
  for (const table of tables) measureBareLookup(table);
  const bare: number[][] = cases.map(() => []);
  const pump: number[][] = cases.map(() => []);
  const plain: Record<"many" | "one", number[]> = { many: [], one: [] };
  const seconds = options.seconds ?? SECONDS;
  for (let round = 0; round < options.rounds; round++) {
    plain.many.push(await measurePlain(field, 65_536, seconds));
    plain.one.push(await measurePlain(field, 1, seconds));
    const order = [...cases.entries()];
    for (const [i, { peers, endpoints }] of round % 2 === 0 ? order : order.toReversed()) {
      bare[i]?.push(measureBareLookup(tables[i] as (typeof tables)[number]));
      await node.call("setPeers", { overlay: 0, peers, endpoints });
      pump[i]?.push(await measurePump(field, node, seconds));
    }
  }
  return summarize(bare, pump, plain);
}

/** Microseconds of the pump's thread for each packet. */
async function measurePump({ sender }: PeersField, node: Agent, seconds: number): Promise<number> {
  await sender.call("start", { thread: 0, name: "sendSpread", options: spreadOf(0) });
  await sleep(100);
  const before = await readPump(node);
  await sleep(seconds * 1000);
  const after = await readPump(node);
  await sender.call("finish", { thread: 0, stop: true });
  return (after.nanoseconds - before.nanoseconds) / (after.packets - before.packets) / 1000;
}

/** Microseconds of a sender for each datagram to one of so many endpoints. */
async function measurePlain({ sender }: PeersField, addresses: number, seconds: number): Promise<number> {
  const read = async () => sender.call<Snapshot>("snapshot", { processes: [], device: "lo" });
  const options = { first: endpointsFrom, step: 1, addresses };
  await sender.call("start", { thread: 0, name: "sendSpread", options });
  await sleep(100);
  const before = await read();
  await sleep(seconds * 1000);
  const after = await read();
  await sender.call("finish", { thread: 0, stop: true });
  return ((after.processorSeconds - before.processorSeconds) / (after.packets - before.packets)) * 1e6;
}

function summarize(
  bare: readonly number[][],
  pump: readonly number[][],
  plain: Readonly<Record<"many" | "one", readonly number[]>>,
): BenchmarkResult {
  const ratios: Record<string, number> = {};
  const figures: Record<string, number> = {};
  for (const [prefix, unit, rows] of [
    ["cpu", "us/packet", pump],
    ["lookup", "ns", bare],
  ] as const) {
    const one = rows[single] ?? [];
    for (const [i, { name: of }] of cases.entries()) {
      const row = rows[i] ?? [];
      figures[`${prefix}${of} ${unit}`] = median(row);
      if (i !== single) ratios[`${prefix}${of}/${prefix}1`] = ratioOf(row, one)?.median ?? Number.NaN;
    }
  }
  const less = (pump[0] ?? []).map((own, i) => own - (plain.many[i] ?? 0) + (plain.one[i] ?? 0));
  ratios["cpu65536 less plain/cpu1"] = ratioOf(less, pump[single] ?? [])?.median ?? Number.NaN;
  ratios["plain65536/plain1"] = ratioOf(plain.many, plain.one)?.median ?? Number.NaN;
  figures["plain65536 us/packet"] = median(plain.many);
  figures["plain1 us/packet"] = median(plain.one);
  return { ratios, figures };
}
