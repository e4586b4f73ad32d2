import type { BenchmarkOptions, BenchmarkResult } from "./benchmark.ts";
import { median, quantile, ratioOf } from "./dataplane/summarize.ts";
import { type ChurnReading, type ChurnSubject, measureChurn } from "./peers/measure-churn.ts";
import { openPeersField, type PeersField } from "./peers/open-field.ts";

/** Name under which `npm run bench -- churn` finds this benchmark. */
export const name = "churn";

const SECONDS = 0.4;
const PEERS = 1024;
/** The last one is the A/A row. */
const states = ["churn", "idle", "again"] as const;

/** The readings of the states, round by round. */
type Readings = Readonly<Record<(typeof states)[number], ChurnReading[]>>;

/**
 * Compares a backend whose peers change 10,000 times a second with one whose peers stay: round-trip times to a peer that doesn't change, and
 * processor time for each packet to peers that do; for the pump alone, and with the kernel path, where packets don't reach the pump. Needs root.
 *
 * @param options how many interleaved rounds, and how many seconds each measurement takes.
 * @returns `cpuchurn/cpuidle`, `churn99/idle99`, `churn50/idle50`, of the kernel path `churn99Kernel/idle99Kernel` and `churn50Kernel/idle50Kernel`,
 * the A/A rows, and the figures they come from.
 */
export async function run(options: BenchmarkOptions): Promise<BenchmarkResult> {
  await using undo = new AsyncDisposableStack();
  const field = await openPeersField(undo);
  const pump = await startSubject(field, 0, "off");
  const kernel = await startSubject(field, 1, "auto");
  if (typeof kernel === "string")
    console.error(`churn: the kernel passes nothing on, so its rows are missing: ${kernel}`);
  const subjects = [pump, kernel].filter((subject) => typeof subject !== "string");
  const readings = subjects.map((): Readings => ({ churn: [], idle: [], again: [] }));
  for (let round = 0; round < options.rounds; round++) {
    for (const [i, subject] of subjects.entries()) {
      for (const state of round % 2 === 0 ? states : states.toReversed()) {
        const seconds = options.seconds ?? SECONDS;
        readings[i]?.[state].push(await measureChurn(field, subject, state === "churn", seconds));
      }
    }
  }
  const results = readings.map((list, i) => (i === 0 ? summarizePump(list) : summarizeKernel(list)));
  return {
    ratios: Object.assign({}, ...results.map(({ ratios }) => ratios)) as BenchmarkResult["ratios"],
    figures: Object.assign({}, ...results.map(({ figures }) => figures)) as Record<string, number>,
  };
}

/** Both hosts in an overlay of their own; or, where the kernel passes nothing on and is to, why. */
async function startSubject(
  field: PeersField,
  overlay: number,
  kernelPath: "auto" | "off",
): Promise<ChurnSubject | string> {
  const node = await field.startNode({ overlay, side: "left", peers: PEERS, other: true, kernelPath });
  const other = await field.startNode({ overlay, side: "right", peers: 1, other: true, kernelPath });
  if (kernelPath === "off") return { node, overlay };
  for (const { kernelPath: state } of [node, other]) {
    if (!state.on) return state.reason;
    // What the peers publish.
    if (state.decapsulates !== "all")
      throw new Error(
        `Cannot measure: the kernel path is ${JSON.stringify(state)}, expected to take off all`,
      );
  }
  return { node, overlay, subnets: PEERS };
}

// All rounds together: a percentile of few samples is a single accident.
function rtt(rows: readonly ChurnReading[], share: number): number {
  return quantile(
    rows.flatMap(({ samples }) => [...samples]),
    share,
  );
}

function medianOf(rows: readonly ChurnReading[], value: (row: ChurnReading) => number): number {
  return median(rows.map(value));
}

function summarizePump({ churn, idle, again }: Readings): Required<BenchmarkResult> {
  const cpus = (rows: readonly ChurnReading[]): readonly number[] => rows.map(({ cpu }) => cpu);
  const ratio = (rows: readonly ChurnReading[]): number =>
    ratioOf(cpus(rows), cpus(idle))?.median ?? Number.NaN;
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
      ...figuresOf({ churn, idle, again }, ""),
    },
  };
}

function summarizeKernel(readings: Readings): Required<BenchmarkResult> {
  const { churn, idle, again } = readings;
  return {
    ratios: {
      "churn99Kernel/idle99Kernel": rtt(churn, 0.99) / rtt(idle, 0.99),
      "idle99Kernel/idle99Kernel": rtt(again, 0.99) / rtt(idle, 0.99),
      "churn50Kernel/idle50Kernel": rtt(churn, 0.5) / rtt(idle, 0.5),
    },
    figures: {
      ...figuresOf(readings, "Kernel"),
      "churnKernel through the pump": medianOf(churn, ({ pumped }) => pumped),
      "idleKernel through the pump": medianOf(idle, ({ pumped }) => pumped),
    },
  };
}

function figuresOf({ churn, idle }: Readings, of: string): Readonly<Record<string, number>> {
  return {
    [`churn${of} p50 us`]: rtt(churn, 0.5),
    [`churn${of} p99 us`]: rtt(churn, 0.99),
    [`idle${of} p50 us`]: rtt(idle, 0.5),
    [`idle${of} p99 us`]: rtt(idle, 0.99),
    [`churn${of} delivered`]: medianOf(churn, ({ delivered }) => delivered),
    [`idle${of} delivered`]: medianOf(idle, ({ delivered }) => delivered),
    [`changes${of}/s`]: medianOf(churn, ({ changedPerSecond }) => changedPerSecond),
    [`main thread share${of && ` ${of}`}`]: medianOf(churn, ({ mainShare }) => mainShare),
    [`main thread processor us/change${of && ` ${of}`}`]: medianOf(
      churn,
      ({ mainPerChange }) => mainPerChange,
    ),
  };
}
