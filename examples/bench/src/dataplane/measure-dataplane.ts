import type { BenchmarkOptions, BenchmarkResult } from "../benchmark.ts";
import { checkKernelPath } from "./check-kernel-path.ts";
import { chooseProcessors } from "./processors.ts";
import { describeRun } from "./describe-run.ts";
import { type Field, TCP_PORT } from "./measure.ts";
import { openPaths } from "./open-paths.ts";
import { type KindName, type Readings, runRounds } from "./run-rounds.ts";
import { type Selection, selectMeasurements } from "./select-measurements.ts";
import { startAgent } from "./start-agent.ts";
import { figureOf, namedRatios } from "./summarize-readings.ts";
import { buildTopology, type TopologyName } from "./topology.ts";

const values: Readonly<Record<KindName, readonly (readonly [value: string, unit: string])[]>> = {
  tcp1: [
    ["gbit", "Gbit/s"],
    ["rxcpu", "rx s/GB"],
    ["txcpu", "tx s/GB"],
  ],
  tcp8: [
    ["gbit", "Gbit/s"],
    ["rxcpu", "rx s/GB"],
    ["txcpu", "tx s/GB"],
  ],
  udp64: [
    ["rxcpu", "rx us/packet"],
    ["txcpu", "tx us/packet"],
    ["lost", "lost"],
  ],
  udp1400: [
    ["rxcpu", "rx us/packet"],
    ["txcpu", "tx us/packet"],
    ["lost", "lost"],
  ],
  calls64: [
    ["rxcalls", "rx calls/packet"],
    ["txcalls", "tx calls/packet"],
  ],
  soft1: [
    ["softcpu", "tx soft interrupts on the wire's threads s/GB"],
    ["txallcpu", "tx with them s/GB"],
  ],
  flood64: [["kpps", "1000/s"]],
  flood1400: [["kpps", "1000/s"]],
  rtt: [
    ["p50", "p50 us"],
    ["p99", "p99 us"],
  ],
  rttload: [
    ["p50", "p50 us"],
    ["p99", "p99 us"],
  ],
};

/**
 * Builds both topologies, measures every path on them, and prints the tables on standard error.
 *
 * @param options rounds, seconds of each measurement, which of them, and the checkout of the row `base`.
 * @returns ratios and figures by name.
 */
export async function measureDataplane(
  options: BenchmarkOptions & { readonly seconds: number },
): Promise<BenchmarkResult> {
  const selection = selectMeasurements(options.only, options.base);
  if (process.getuid?.() !== 0)
    throw new Error("Cannot measure the data plane: this is no root, expected root or a user namespace's");
  await using undo = new AsyncDisposableStack();
  const fields: Field[] = [];
  for (const name of selection.topologies) {
    const field = await openField(name, selection, undo);
    if (field !== undefined) fields.push(field);
  }
  const readings = await runRounds(fields, { ...options, selection });
  const topologies = fields.map(({ topology }) => topology.name);
  const notes = (await Promise.all(fields.map(kernelPathOf))).filter((note) => note !== undefined);
  console.error(`\n${describeRun(readings, { ...selection, topologies }, notes)}\n`);
  return resultOf(readings, selection);
}

async function openField(
  name: TopologyName,
  selection: Selection,
  undo: AsyncDisposableStack,
): Promise<Field | undefined> {
  const spaces = undo.adopt(new DisposableStack(), (stack) => stack.dispose());
  let topology;
  try {
    topology = await buildTopology(name, name === "wire" ? chooseProcessors() : undefined, spaces);
  } catch (error) {
    if (name === "veth") throw error;
    console.error(`dataplane: no wire, so its figures are missing: ${String(error)}`);
    return undefined;
  }
  if (name === "wire" && !topology.accountable)
    console.error("dataplane: the wire's threads can't be pinned here, so processor times are missing");
  const paths = await openPaths(topology, selection, undo);
  const agent = import.meta.resolve("./traffic-agent.ts");
  const agents = {
    left: undo.adopt(startAgent(topology.hosts.left, agent), (started) => started.close()),
    right: undo.adopt(startAgent(topology.hosts.right, agent), (started) => started.close()),
  };
  await agents.left.call("serveTcp", { port: TCP_PORT });
  const field = { topology, paths, agents };
  await kernelPathOf(field);
  return field;
}

/** What Loden's kernel path does, in words, where it is a row. Throws when it is not what it should be. */
async function kernelPathOf({ topology, paths }: Field): Promise<string | undefined> {
  const accounts = await paths.accounts();
  return accounts === undefined ? undefined : checkKernelPath(topology.name, accounts);
}

function resultOf(readings: Readings, selection: Selection): BenchmarkResult {
  const named = namedRatios(readings);
  const ratios = Object.fromEntries(named.map(({ name, ratio }) => [name, ratio.median]));
  const figures: Record<string, number> = {};
  for (const { name, again } of named) {
    if (again === undefined) continue;
    figures[`${name} A/A low quartile`] = again.low;
    figures[`${name} A/A high quartile`] = again.high;
  }
  for (const topology of selection.topologies) {
    for (const [kind, list] of Object.entries(values) as [KindName, (typeof values)[KindName]][]) {
      for (const row of selection.rows) {
        for (const [value, unit] of list) {
          const figure = figureOf(readings, topology, kind, row, value);
          if (figure !== undefined) figures[`${topology} ${kind} ${row} ${unit}`] = figure;
        }
      }
    }
    for (const row of selection.rows) {
      const count = readings.samples(topology, "rtt", row).length;
      if (count > 0) figures[`${topology} rtt ${row} samples`] = count;
    }
  }
  return { ratios, figures };
}
