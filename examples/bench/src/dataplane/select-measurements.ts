import type { KindName, RowName } from "./run-rounds.ts";
import type { TopologyName } from "./topology.ts";

/** What a run measures. */
export interface Selection {
  readonly topologies: readonly TopologyName[];
  readonly kinds: readonly KindName[];
  readonly rows: readonly RowName[];
  /** The checkout whose Loden is the row `base`. */
  readonly base: string | undefined;
}

const topologyWords: readonly TopologyName[] = ["wire", "veth"];
const kindWords: readonly KindName[] = [
  "tcp1",
  "tcp8",
  "rtt",
  "rttload",
  "udp64",
  "udp1400",
  "calls64",
  "soft1",
  "flood64",
  "flood1400",
];
const rowWords: readonly RowName[] = [
  "bare",
  "vxlan",
  "loden-vxlan",
  "loden-host-gw",
  "loden",
  "again",
  "userspace",
  "base",
  "socat",
  "classic",
  "vxlan6",
  "loden6",
];
/** Rows that a run has only when they are named: they double others. */
const extraRows: ReadonlySet<RowName> = new Set(["vxlan6", "loden6"]);

/**
 * Chooses what to measure, by the names of topologies, kinds and rows in any order. Where a sort of name does not occur, all of it is measured, but
 * for the rows of IPv6.
 *
 * @param words what was asked for; `undefined` for everything.
 * @param base a checkout to compare with; without it there is no row `base`.
 * @returns the choice, in the order of a full run.
 * @throws {TypeError} for a word that names nothing.
 */
export function selectMeasurements(words: readonly string[] = [], base?: string): Selection {
  const rows = rowWords.filter((row) => row !== "base" || base !== undefined);
  const all: readonly string[] = [...topologyWords, ...kindWords, ...rows];
  const unknown = words.find((word) => !all.includes(word));
  if (unknown !== undefined)
    throw new TypeError(
      `Cannot choose what to measure: "${unknown}" names nothing, expected of ${all.join(", ")}`,
    );
  return {
    topologies: chosen(topologyWords, words),
    kinds: chosen(kindWords, words),
    rows: chosen(rows, words, extraRows),
    base,
  };
}

function chosen<Word extends string>(
  names: readonly Word[],
  words: readonly string[],
  extra: ReadonlySet<Word> = new Set(),
): readonly Word[] {
  const named = names.filter((name) => words.includes(name));
  return named.length === 0 ? names.filter((name) => !extra.has(name)) : named;
}
