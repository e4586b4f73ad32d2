import { cpus, release } from "node:os";
import type { KindName, Readings, RowName } from "./run-rounds.ts";
import type { Selection } from "./select-measurements.ts";
import { ratioOf } from "./summarize.ts";
import { figureOf, namedRatios } from "./summarize-readings.ts";
import type { TopologyName } from "./topology.ts";

/** The rows of the tables, and what they are called there. */
export const rowNames: Readonly<Record<RowName, string>> = {
  bare: "no overlay",
  vxlan: "kernel VXLAN",
  "loden-vxlan": "Loden's VXLAN",
  "loden-host-gw": "Loden's host-gw",
  loden: "Loden",
  again: "Loden again",
  userspace: "Loden, userspace alone",
  base: "Loden of the other checkout",
  socat: "socat",
  classic: "classic",
  vxlan6: "kernel VXLAN, IPv6 over IPv6",
  loden6: "Loden, IPv6 over IPv6",
};

interface Column {
  readonly title: string;
  readonly kind: KindName;
  readonly value: string;
  readonly digits: number;
}

const throughput: readonly Column[] = [
  { title: "TCP 1, Gbit/s", kind: "tcp1", value: "gbit", digits: 2 },
  { title: "TCP 8, Gbit/s", kind: "tcp8", value: "gbit", digits: 2 },
  { title: "UDP 64 B, 1000/s", kind: "flood64", value: "kpps", digits: 0 },
  { title: "UDP 1400 B, 1000/s", kind: "flood1400", value: "kpps", digits: 0 },
  { title: "RTT p50, us", kind: "rtt", value: "p50", digits: 0 },
  { title: "p99", kind: "rtt", value: "p99", digits: 0 },
  { title: "RTT loaded p50", kind: "rttload", value: "p50", digits: 0 },
  { title: "p99", kind: "rttload", value: "p99", digits: 0 },
];

const processorTime: readonly Column[] = [
  { title: "TCP 1 rx, s/GB", kind: "tcp1", value: "rxcpu", digits: 2 },
  { title: "tx", kind: "tcp1", value: "txcpu", digits: 2 },
  { title: "tx on the wire's threads", kind: "soft1", value: "softcpu", digits: 2 },
  { title: "TCP 8 rx, s/GB", kind: "tcp8", value: "rxcpu", digits: 2 },
  { title: "tx", kind: "tcp8", value: "txcpu", digits: 2 },
  { title: "UDP 64 B rx, us/packet", kind: "udp64", value: "rxcpu", digits: 2 },
  { title: "tx", kind: "udp64", value: "txcpu", digits: 2 },
  { title: "UDP 1400 B rx, us/packet", kind: "udp1400", value: "rxcpu", digits: 2 },
  { title: "tx", kind: "udp1400", value: "txcpu", digits: 2 },
  { title: "UDP 64 B rx, calls/packet", kind: "calls64", value: "rxcalls", digits: 2 },
  { title: "tx", kind: "calls64", value: "txcalls", digits: 2 },
];

/**
 * The run as tables in Markdown: what `docs/benchmarks.md` shows.
 *
 * @param readings what was read. @param selection what there was to be. @param notes what else a reader has to know, each a paragraph.
 */
export function describeRun(
  readings: Readings,
  selection: Omit<Selection, "base">,
  notes: readonly string[],
): string {
  const sections = selection.topologies.flatMap((topology) => {
    const columns = topology === "wire" ? [throughput, processorTime] : [throughput];
    return columns
      .map((list) => list.filter(({ kind }) => selection.kinds.includes(kind)))
      .filter((list) => list.length > 0)
      .map((list) => figures(readings, topology, list, selection.rows));
  });
  const comparison = selection.rows.includes("base") ? [compared(readings, selection)] : [];
  return [machine(), ...notes, ratios(readings), ...comparison, ...sections].join("\n\n");
}

function machine(): string {
  const [first] = cpus();
  return `${cpus().length} processors (${first?.model.trim() ?? "unknown"}), Linux ${release()}, Node.js ${process.version}`;
}

function ratios(readings: Readings): string {
  const rows = namedRatios(readings).map(({ name, target, ratio, again }) => {
    const spread = again === undefined ? "-" : `${again.low.toFixed(2)}-${again.high.toFixed(2)}`;
    const median = ratio.median.toFixed(2);
    const quartiles = `${ratio.low.toFixed(2)}-${ratio.high.toFixed(2)}`;
    return [`\`${name}\``, median, quartiles, target, spread, verdict(ratio.median, target, again)];
  });
  return table(["ratio", "median", "quartiles", "asked", "A/A quartiles", ""], rows);
}

/** Loden by that of the other checkout, beside Loden by itself. */
function compared(readings: Readings, { topologies }: Pick<Selection, "topologies">): string {
  const rows = topologies.flatMap((topology) =>
    [...throughput, ...processorTime].flatMap(({ title, kind, value }) => {
      const own = readings.of(topology, kind, "loden", value);
      const ratio = ratioOf(own, readings.of(topology, kind, "base", value));
      const again = ratioOf(readings.of(topology, kind, "again", value), own);
      if (ratio === undefined) return [];
      const spread = [ratio, again].map((of) =>
        of === undefined ? "-" : `${of.low.toFixed(2)}-${of.high.toFixed(2)}`,
      );
      return [[topology, `${kind} ${title}`, ratio.median.toFixed(3), ...spread]];
    }),
  );
  return table(["Loden by the other checkout's", "", "median", "quartiles", "A/A quartiles"], rows);
}

/** Says when the two equal paths of this run differ by more than what lies between the ratio and what is asked. */
function verdict(
  median: number,
  target: string,
  again: { readonly low: number; readonly high: number } | undefined,
): string {
  if (target === "-") return "";
  const [relation, text] = target.split(" ");
  const asked = Number(text);
  const met = relation === "<=" ? median <= asked : median >= asked;
  const margin = Math.abs(Math.log(median / asked));
  const noise = again === undefined ? 0 : Math.log(again.high / again.low);
  return `${met ? "met" : "not met"}${noise > margin ? ", A/A is wider than the margin" : ""}`;
}

function figures(
  readings: Readings,
  topology: TopologyName,
  columns: readonly Column[],
  rowWords: readonly RowName[],
): string {
  const rows = rowWords.map((row) => {
    const cells = columns.map(({ kind, value, digits }) => {
      const figure = figureOf(readings, topology, kind, row, value);
      return figure === undefined ? "-" : figure.toFixed(digits);
    });
    return [rowNames[row], ...cells];
  });
  return table([topology, ...columns.map(({ title }) => title)], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
