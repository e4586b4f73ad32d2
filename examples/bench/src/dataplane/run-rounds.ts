import type { PathName } from "./addresses.ts";
import {
  type Field,
  measureCalls,
  measureRtt,
  measureSoftInterrupts,
  measureTcp,
  measureUdp,
  type Reading,
} from "./measure.ts";
import type { Selection } from "./select-measurements.ts";
import type { TopologyName } from "./topology.ts";
import { quantile } from "./summarize.ts";

/** What is measured on each path. */
export type KindName =
  | "tcp1"
  | "tcp8"
  | "udp64"
  | "udp1400"
  | "calls64"
  | "soft1"
  | "flood64"
  | "flood1400"
  | "rtt"
  | "rttload";

/** A path in a round; the path called `again` is Loden's a second time, which shows how much two equal things differ here. */
export type RowName = PathName | "again";

/** Everything that was read. */
export interface Readings {
  /** The values of one row over the rounds, in their order; `undefined` where a round has none. */
  of(topology: TopologyName, kind: KindName, row: RowName, value: string): readonly (number | undefined)[];
  /** The round-trip times of all rounds together, in microseconds. */
  samples(topology: TopologyName, kind: "rtt" | "rttload", row: RowName): readonly number[];
}

/** How much is measured. */
export interface Amount {
  readonly rounds: number;
  /** Length of one measurement. */
  readonly seconds: number;
  /** Which kinds and rows. */
  readonly selection: Selection;
}

/** A busy machine may take longer; no round begins after that. */
const MOST_MS = 14 * 60_000;
/** Round-trip times in all rounds together. */
const SAMPLES = 20_000;
/** Little enough for every path, so that all do the same work: nothing is lost but by accident. */
const PER_SECOND = { udp64: 40_000, udp1400: 20_000, flood64: undefined, flood1400: undefined } as const;

/**
 * Measures everything on every path, round by round. The order of the paths turns round with each round; a kind is measured on all of
 * them before the next one comes, so that what is compared lies close together.
 *
 * @param fields the topologies.
 * @param amount how much.
 * @returns the readings.
 */
export async function runRounds(fields: readonly Field[], amount: Amount): Promise<Readings> {
  const values = new Map<string, (number | undefined)[]>();
  const pooled = new Map<string, number[]>();
  for (const field of fields) await warmUp(field);
  const end = performance.now() + MOST_MS;
  let done = 0;
  for (let round = 0; round < amount.rounds && performance.now() < end; round++) {
    for (const field of fields) {
      for (const kind of kindsOf(field, round, amount)) {
        for (const row of rowsOf(field, round, kind, amount.selection)) {
          const key = `${field.topology.name} ${kind} ${row}`;
          const { reading, samples } = await measureOnce(field, kind, row, amount);
          for (const [name, value] of Object.entries(reading)) {
            const list = values.get(`${key} ${name}`) ?? [];
            list[round] = value;
            values.set(`${key} ${name}`, list);
          }
          if (samples !== undefined) pooled.set(key, [...(pooled.get(key) ?? []), ...samples]);
        }
      }
    }
    done = round + 1;
    console.error(`dataplane: round ${done} of ${amount.rounds}`);
  }
  if (done < amount.rounds) console.error(`dataplane: time is up after ${done} rounds of ${amount.rounds}`);
  return {
    of: (topology, kind, row, value) =>
      Array.from({ length: done }, (_, i) => values.get(`${topology} ${kind} ${row} ${value}`)?.[i]),
    samples: (topology, kind, row) => pooled.get(`${topology} ${kind} ${row}`) ?? [],
  };
}

/** Nothing is compiled yet and no neighbour known: what comes first would be slow. */
async function warmUp(field: Field): Promise<void> {
  for (const path of field.paths.names) {
    await measureTcp(field, path, 1, 0.1);
    await measureRtt(field, path, { count: 200, seconds: 0.2, loaded: true });
  }
}

/**
 * Datagrams at a fixed rate are about processor time, so they are measured where that can be told. What the sender can do at most is a figure
 * alone, measured in one round of three.
 */
function kindsOf({ topology }: Field, round: number, { selection }: Amount): readonly KindName[] {
  return selection.kinds.filter((kind) => {
    if (kind.startsWith("udp")) return topology.accountable;
    if (kind === "calls64") return topology.name === "wire" && round === 0;
    if (kind === "soft1" && !topology.accountable) return false;
    return !(kind.startsWith("flood") || kind === "soft1") || round % 3 === 0;
  });
}

/** What Loden only programs is the kernel's path: that it is that and no other shows in the first kind. */
const onlyTcp: ReadonlySet<RowName> = new Set(["loden-vxlan", "loden-host-gw"]);

function rowsOf({ paths }: Field, round: number, kind: KindName, selection: Selection): readonly RowName[] {
  const rows = selection.rows
    .filter((row) => paths.names.includes(row === "again" ? "loden" : row))
    .filter((row) => kind === "tcp1" || !onlyTcp.has(row));
  return round % 2 === 0 ? rows : rows.toReversed();
}

interface Measured {
  readonly reading: Reading;
  readonly samples?: Float64Array;
}

async function measureOnce(field: Field, kind: KindName, row: RowName, amount: Amount): Promise<Measured> {
  const path = row === "again" ? "loden" : row;
  const { seconds, rounds } = amount;
  switch (kind) {
    case "tcp1":
    case "tcp8":
      return retried(() => measureTcp(field, path, kind === "tcp1" ? 1 : 8, seconds));
    case "udp64":
    case "udp1400":
    case "flood64":
    case "flood1400": {
      const bytes = kind.endsWith("64") ? 64 : 1400;
      return retried(() => measureUdp(field, path, { bytes, perSecond: PER_SECOND[kind] }, seconds));
    }
    case "calls64":
      return {
        reading: await measureCalls(field, path, { bytes: 64, perSecond: PER_SECOND.udp64 }, seconds),
      };
    case "soft1":
      return { reading: await measureSoftInterrupts(field, path, seconds) };
    case "rtt":
    case "rttload": {
      const loaded = kind === "rttload";
      const limit = { count: Math.ceil(SAMPLES / rounds), seconds: loaded ? seconds : seconds * 3, loaded };
      const samples = await measureRtt(field, path, limit);
      if (samples.length === 0) return { reading: {} };
      return { reading: { p50: quantile(samples, 0.5), p99: quantile(samples, 0.99) }, samples };
    }
  }
}

/** A connection that can't be made in time on a busy machine is no reading; three of them are none in that round. */
async function retried(measure: () => Promise<Reading | undefined>): Promise<Measured> {
  for (let attempt = 0; attempt < 3; attempt++) {
    const reading = await measure();
    if (reading !== undefined) return { reading };
  }
  return { reading: {} };
}
