import { setTimeout as sleep } from "node:timers/promises";
import type { BenchmarkOptions, BenchmarkResult } from "./benchmark.ts";
import { median, ratioOf } from "./dataplane/summarize.ts";
import type { Agent } from "./dataplane/start-agent.ts";
import { createBareTable, measureBareLookup } from "./peers/measure-bare-lookup.ts";
import { openPeersField, type PeersField, readPump } from "./peers/open-field.ts";
import { overlayOf } from "./peers/overlays.ts";

/** Name under which `npm run bench -- lookup` finds this benchmark. */
export const name = "lookup";

const SECONDS = 0.4;
/** The last one is the A/A row. */
const sizes = [65_536, 256, 1, 1] as const;

/**
 * Compares tables of 65,536, 256 and one peer, with uniformly random destinations: the lookup alone, and the processor time that a real pump
 * takes for a packet from the TUN device to the socket. Needs root.
 *
 * @param options how many interleaved rounds, and how many seconds each measurement takes.
 * @returns `cpu65536/cpu1`, `lookup65536/lookup1`, their like for 256 peers and the A/A row, and the figures they come from.
 */
export async function run(options: BenchmarkOptions): Promise<BenchmarkResult> {
  await using undo = new AsyncDisposableStack();
  const field = await openPeersField(undo);
  // One pump for all tables: no two processes are equally quick.
  const node = await field.startNode({ overlay: 0, side: "left", peers: 1, other: false });
  const tables = sizes.map(createBareTable);
  for (const table of tables) measureBareLookup(table);
  const bare: number[][] = sizes.map(() => []);
  const pump: number[][] = sizes.map(() => []);
  for (let round = 0; round < options.rounds; round++) {
    const order = round % 2 === 0 ? [0, 1, 2, 3] : [3, 2, 1, 0];
    for (const i of order) {
      bare[i]?.push(measureBareLookup(tables[i] as (typeof tables)[number]));
      await node.call("setPeers", { overlay: 0, peers: sizes[i] });
      pump[i]?.push(await measurePump(field, node, options.seconds ?? SECONDS));
    }
  }
  return summarize(bare, pump);
}

/** Microseconds of the pump's thread for each packet. */
async function measurePump({ sender }: PeersField, node: Agent, seconds: number): Promise<number> {
  const { first: network } = overlayOf(0);
  await sender.call("start", { thread: 0, name: "sendSpread", options: { network } });
  await sleep(100);
  const before = await readPump(node);
  await sleep(seconds * 1000);
  const after = await readPump(node);
  await sender.call("finish", { thread: 0, stop: true });
  return (after.nanoseconds - before.nanoseconds) / (after.packets - before.packets) / 1000;
}

function summarize(bare: readonly number[][], pump: readonly number[][]): BenchmarkResult {
  const row = (rows: readonly number[][], i: number): readonly number[] => rows[i] ?? [];
  const ratio = (rows: readonly number[][], i: number): number =>
    ratioOf(row(rows, i), row(rows, 2))?.median ?? Number.NaN;
  return {
    ratios: {
      "cpu65536/cpu1": ratio(pump, 0),
      "cpu256/cpu1": ratio(pump, 1),
      "cpu1/cpu1": ratio(pump, 3),
      "lookup65536/lookup1": ratio(bare, 0),
      "lookup256/lookup1": ratio(bare, 1),
      "lookup1/lookup1": ratio(bare, 3),
    },
    figures: Object.fromEntries(
      sizes.slice(0, 3).flatMap((size, i) => [
        [`lookup${size} ns`, median(row(bare, i))],
        [`cpu${size} us/packet`, median(row(pump, i))],
      ]),
    ),
  };
}
