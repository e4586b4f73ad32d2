import type { FamilyNetwork } from "./network-config.ts";
import { parseNetworkConfig } from "./parse-network-config.ts";
import { createSubnetAllocator, type SubnetAllocator } from "./subnet-allocator.ts";
import type { Subnet } from "./subnet.ts";

/** The name of this benchmark. */
export const name = "allocate";

/**
 * Compares the cost of picking a subnet in a nearly full network with a nearly empty one, for the 65,536 subnets of a /8
 * and the 2^24 subnets of a /4. Rounds are interleaved, in alternating order; each ratio is the median of the ratios of
 * the rounds, and near 1 when the cost does not depend on how full the network is. `aa` is the nearly empty network
 * measured against itself, and its spread tells what a ratio is worth.
 *
 * @param o - How many rounds, at least 15 for a figure worth quoting.
 * @returns `ratios`: `pickFull/pickEmpty` for each network, and `aa`; `figures`: nanoseconds per pick, and the spread of A/A.
 */
export async function run(o: {
  rounds: number;
}): Promise<{ ratios: Record<string, number>; figures: Record<string, number> }> {
  const ratios: Record<string, number> = {};
  const figures: Record<string, number> = {};
  for (const { label, config } of networks) {
    const result = compare(createSparse(config), createSparse(config), createDense(config), o.rounds);
    ratios[`pickFull/pickEmpty ${label}`] = median(result.map((round) => round.full / round.empty));
    ratios[`aa ${label}`] = median(result.map((round) => round.again / round.empty));
    figures[`pickEmpty ${label} ns`] = median(result.map((round) => round.empty));
    figures[`pickFull ${label} ns`] = median(result.map((round) => round.full));
    figures[`aa spread ${label}`] = spread(result.map((round) => round.again / round.empty));
    // Lets other work of this process run between the networks.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { ratios, figures };
}

const networks = [
  { label: "/8", config: `{ "Network": "10.0.0.0/8", "SubnetLen": 24 }` },
  { label: "/4", config: `{ "Network": "16.0.0.0/4", "SubnetLen": 28 }` },
];

/** How many subnets stay free in the dense network, and are reserved in the sparse one. */
const remaining = 1024;
const picksPerRound = 2000;

function createSparse(config: string): SubnetAllocator {
  const allocator = createSubnetAllocator(parseNetworkConfig(config));
  for (let count = 0; count < remaining; count += 1) allocator.allocate();
  return allocator;
}

/** Reserves subnet by subnet all but some, evenly spread. */
function createDense(config: string): SubnetAllocator {
  const parsed = parseNetworkConfig(config);
  const { network, subnetLength } = parsed.ipv4 as FamilyNetwork;
  const allocator = createSubnetAllocator(parsed);
  const total = Number(allocator.available.ipv4);
  const gap = Math.floor(total / remaining);
  let index = 0;
  for (const prefix of network.subnets(subnetLength)) {
    if (index % gap !== 0) allocator.reserve(prefix);
    index += 1;
  }
  return allocator;
}

interface Round {
  readonly empty: number;
  readonly again: number;
  readonly full: number;
}

function compare(
  sparse: SubnetAllocator,
  twin: SubnetAllocator,
  dense: SubnetAllocator,
  rounds: number,
): Round[] {
  const results: Round[] = [];
  for (const allocator of [sparse, twin, dense]) pick(allocator);
  for (let round = 0; round < rounds; round += 1) {
    const order = round % 2 === 0 ? [sparse, twin, dense] : [dense, twin, sparse];
    const times = order.map(pick);
    const [empty, again, full] = round % 2 === 0 ? times : times.toReversed();
    results.push({ empty: empty ?? 0, again: again ?? 0, full: full ?? 0 });
  }
  return results;
}

/** Nanoseconds per subnet allocated and given back. */
function pick(allocator: SubnetAllocator): number {
  let held: Subnet[] = [];
  const start = process.hrtime.bigint();
  for (let count = 0; count < picksPerRound; count += 1) {
    held.push(allocator.allocate());
    if (held.length === 100) {
      for (const subnet of held) allocator.free(subnet);
      held = [];
    }
  }
  return Number(process.hrtime.bigint() - start) / picksPerRound;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** The distance between the 10th and the 90th percentile. */
function spread(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
  return at(0.9) - at(0.1);
}
