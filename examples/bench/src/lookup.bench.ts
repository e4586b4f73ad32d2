import { setTimeout as sleep } from "node:timers/promises";
import type { BenchmarkOptions, BenchmarkResult } from "./benchmark.ts";
import { median, ratioOf } from "./dataplane/summarize.ts";
import type { Agent } from "./dataplane/start-agent.ts";
import { createBareTable, measureBareLookup } from "./peers/measure-bare-lookup.ts";
import { measureSender, plainSenders, startKernelPaths, WARM_UP_MS } from "./peers/measure-senders.ts";
import { openPeersField, type PeersField, readPump } from "./peers/open-field.ts";
import { spreadOf } from "./peers/overlays.ts";

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
 * one of many destinations; with all peers on one endpoint, the rest. Two more tell of a sender's time, whole: a plain one, which sends
 * datagrams to the same endpoints, or to one, without any overlay; and one whose packets the kernel path takes. Needs root.
 *
 * @param options how many interleaved rounds, and how many seconds each measurement takes.
 * @returns `cpu65536/cpu1`, `lookup65536/lookup1`, their like for the other cases, `cpu65536Kernel/cpu2Kernel` of the kernel path,
 * `plain65536/plain1` of the plain sender, `cpu65536 less plain/cpu1`, from which what the plain sender takes more for many is subtracted, and
 * the figures they come from.
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
  const seconds = options.seconds ?? SECONDS;
  for (let round = 0; round < options.rounds; round++) {
    for (const [i, { peers, endpoints }] of inOrder(cases, round)) {
      bare[i]?.push(measureBareLookup(tables[i] as (typeof tables)[number]));
      await node.call("setPeers", { overlay: 0, peers, endpoints });
      pump[i]?.push(await measurePump(field, node, seconds));
    }
  }
  // Apart, so that what they leave in the kernel's tables is no warm-up for the pump, and other processes don't tidy their heaps beside it.
  const senders = [...plainSenders, ...(await startKernelPaths(field))];
  const sent: number[][] = senders.map(() => []);
  for (let round = 0; round < options.rounds; round++) {
    for (const [i, sender] of inOrder(senders, round))
      sent[i]?.push(await measureSender(field, sender, seconds));
  }
  return summarize(bare, pump, new Map(senders.map(({ name: of }, i) => [of, sent[i] ?? []])));
}

function inOrder<Value>(list: readonly Value[], round: number): readonly [number, Value][] {
  const order = [...list.entries()];
  return round % 2 === 0 ? order : order.toReversed();
}

/** Microseconds of the pump's thread for each packet. */
async function measurePump({ sender }: PeersField, node: Agent, seconds: number): Promise<number> {
  await sender.call("start", { thread: 0, name: "sendSpread", options: spreadOf(0) });
  await sleep(WARM_UP_MS);
  const before = await readPump(node);
  await sleep(seconds * 1000);
  const after = await readPump(node);
  await sender.call("finish", { thread: 0, stop: true });
  return (after.nanoseconds - before.nanoseconds) / (after.packets - before.packets) / 1000;
}

function summarize(
  bare: readonly number[][],
  pump: readonly number[][],
  sent: ReadonlyMap<string, readonly number[]>,
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
  for (const [of, row] of sent) figures[`${of} us/packet`] = median(row);
  const ratio = (many: string, one: string): number =>
    ratioOf(sent.get(many) ?? [], sent.get(one) ?? [])?.median ?? Number.NaN;
  ratios["plain65536/plain1"] = ratio("plain65536", "plain1");
  if (sent.has("cpu2Kernel"))
    for (const row of ["cpu65536Kernel", "cpu65536Kernel on one endpoint"])
      ratios[`${row}/cpu2Kernel`] = ratio(row, "cpu2Kernel");
  const [many, one] = [sent.get("plain65536") ?? [], sent.get("plain1") ?? []];
  const less = (pump[0] ?? []).map((own, i) => own - (many[i] ?? 0) + (one[i] ?? 0));
  ratios["cpu65536 less plain/cpu1"] = ratioOf(less, pump[single] ?? [])?.median ?? Number.NaN;
  return { ratios, figures };
}
