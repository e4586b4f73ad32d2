import type { KindName, Readings, RowName } from "./run-rounds.ts";
import { median, quantile, type RatioSummary, ratioOf } from "./summarize.ts";
import type { TopologyName } from "./topology.ts";

/** What a ratio divides. */
interface RatioDefinition {
  readonly topology: TopologyName;
  readonly kind: KindName;
  readonly value: string;
  /** Whose value; Loden's own path without it. */
  readonly row?: RowName;
  readonly against: RowName;
  /** What is asked of it, for the table; `-` for nothing. */
  readonly target: string;
}

/** The ratios by name: Loden's value by another path's. What the kernel carries should cost what it costs by hand. */
const asked: Readonly<Record<string, RatioDefinition>> = {
  "rxcpu/vxlan": { topology: "wire", kind: "tcp1", value: "rxcpu", against: "vxlan", target: "<= 1.4" },
  "txcpu/vxlan": { topology: "wire", kind: "tcp1", value: "txcpu", against: "vxlan", target: "<= 2.0" },
  "txallcpu/vxlan": { topology: "wire", kind: "soft1", value: "txallcpu", against: "vxlan", target: "-" },
  "rxcpu8/vxlan": { topology: "wire", kind: "tcp8", value: "rxcpu", against: "vxlan", target: "<= 1.5" },
  "tcp1/socat": { topology: "wire", kind: "tcp1", value: "gbit", against: "socat", target: ">= 7" },
  "rxcpu64/vxlan": { topology: "wire", kind: "udp64", value: "rxcpu", against: "vxlan", target: "<= 2.0" },
  "tcp1veth/vxlanveth": {
    topology: "veth",
    kind: "tcp1",
    value: "gbit",
    against: "vxlan",
    target: ">= 0.75",
  },
  "tcp8veth/vxlanveth": {
    topology: "veth",
    kind: "tcp8",
    value: "gbit",
    against: "vxlan",
    target: ">= 0.80",
  },
  "rxcpuLodenVxlan/vxlan": {
    topology: "wire",
    kind: "tcp1",
    value: "rxcpu",
    row: "loden-vxlan",
    against: "vxlan",
    target: "<= 1.05",
  },
  "tcp1vethLodenVxlan/vxlanveth": {
    topology: "veth",
    kind: "tcp1",
    value: "gbit",
    row: "loden-vxlan",
    against: "vxlan",
    target: ">= 0.95",
  },
  "rxcpuLodenHostGw/bare": {
    topology: "wire",
    kind: "tcp1",
    value: "rxcpu",
    row: "loden-host-gw",
    against: "bare",
    target: "<= 1.05",
  },
  "tcp1vethLodenHostGw/bareveth": {
    topology: "veth",
    kind: "tcp1",
    value: "gbit",
    row: "loden-host-gw",
    against: "bare",
    target: ">= 0.95",
  },
  "rxcpu6/vxlan6": {
    topology: "wire",
    kind: "tcp1",
    value: "rxcpu",
    row: "loden6",
    against: "vxlan6",
    target: "<= 1.4",
  },
  "txcpu6/vxlan6": {
    topology: "wire",
    kind: "tcp1",
    value: "txcpu",
    row: "loden6",
    against: "vxlan6",
    target: "<= 2.0",
  },
  "rxcpu6/rxcpu": {
    topology: "wire",
    kind: "tcp1",
    value: "rxcpu",
    row: "loden6",
    against: "loden",
    target: "-",
  },
  "tcp1veth6/vxlan6veth": {
    topology: "veth",
    kind: "tcp1",
    value: "gbit",
    row: "loden6",
    against: "vxlan6",
    target: ">= 0.75",
  },
  "tcp1veth/classicveth": {
    topology: "veth",
    kind: "tcp1",
    value: "gbit",
    against: "classic",
    target: ">= 8",
  },
  "rtt50veth/classicveth": {
    topology: "veth",
    kind: "rtt",
    value: "p50",
    against: "classic",
    target: "<= 1.10",
  },
  "rtt99veth/classicveth": {
    topology: "veth",
    kind: "rtt",
    value: "p99",
    against: "classic",
    target: "<= 1.25",
  },
};

/** The same of Loden without the kernel's help, for each of its own: `rxcpuUserspace/vxlan`. Nothing is asked of them. */
const ofUserspace: readonly (readonly [string, RatioDefinition])[] = Object.entries(asked)
  .filter(([, { row }]) => row === undefined)
  .map(([name, definition]) => [
    name.replace("/", "Userspace/"),
    { ...definition, row: "userspace", target: "-" },
  ]);

const definitions: readonly (readonly [string, RatioDefinition])[] = [
  ...Object.entries(asked),
  ...ofUserspace,
];

/** A ratio of the run. */
export interface NamedRatio {
  readonly name: string;
  readonly target: string;
  readonly ratio: RatioSummary;
  /** Loden against itself in the same run (A/A); for its own path alone. */
  readonly again: RatioSummary | undefined;
}

/** The ratios that this run can tell. */
export function namedRatios(readings: Readings): readonly NamedRatio[] {
  return definitions.flatMap(([name, { topology, kind, value, row = "loden", against, target }]) => {
    const own = readings.of(topology, kind, row, value);
    const ratio = ratioOf(own, readings.of(topology, kind, against, value));
    if (ratio === undefined) return [];
    const again = row === "loden" ? ratioOf(readings.of(topology, kind, "again", value), own) : undefined;
    return [{ name, target, ratio, again }];
  });
}

/** Absolute values of a row: medians over the rounds, round-trip times over all samples; `undefined` where there are none. */
export function figureOf(
  readings: Readings,
  topology: TopologyName,
  kind: KindName,
  row: RowName,
  value: string,
): number | undefined {
  if (kind === "rtt" || kind === "rttload") {
    const samples = readings.samples(topology, kind, row);
    return samples.length === 0 ? undefined : quantile(samples, value === "p50" ? 0.5 : 0.99);
  }
  const values = readings.of(topology, kind, row, value).filter((number) => number !== undefined);
  return values.length === 0 ? undefined : median(values);
}
