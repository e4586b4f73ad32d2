import { parsePrefix } from "@loden/ip";
import { createNetns, type Netns } from "@loden/netns";
import { formatRoute, openRtnetlink, type Route, type Rtnetlink } from "@loden/rtnetlink";
import { spawnSync, type SpawnSyncReturns } from "node:child_process";

/** Name under which `npm run bench -- routes` finds this benchmark. */
export const name = "routes";

const ROUTES = 10_000;

/** What a benchmark hands back: ratios against something in the same run, and figures in milliseconds. */
export interface BenchResult {
  readonly ratios: Readonly<Record<string, number>>;
  readonly figures: Readonly<Record<string, number>>;
}

/**
 * Adds and lists 10,000 routes with rtnetlink and, where it is installed, with one `ip -batch` and one `ip -json`, in a
 * namespace of its own. Needs root.
 *
 * @param options How many interleaved rounds; medians are given.
 * @returns Ratios of our time to that of `ip` (`add/ip`, `list/ip`, below 1 is faster), of one half of our adds to the other
 *   (`add/add`, the noise), and milliseconds.
 */
export async function run(options: { readonly rounds: number }): Promise<BenchResult> {
  using netns = createNetns();
  using rtnetlink = openRtnetlink({ netns });
  await rtnetlink.links.add({ name: "bench0", kind: "bridge", addrGenMode: "none", up: true });
  const routes = Array.from({ length: ROUTES }, (_, index) => ({
    destination: parsePrefix(`10.${index >> 8}.${index & 255}.0/24`),
    link: "bench0",
    protocol: 4,
  }));
  const batch = routes.map((route) => `route add ${formatRoute(route)}\n`).join("");
  const hasIp = ip(netns, ["-Version"]).status === 0;

  const rounds: Round[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const ours = (): Promise<Pair> => measureOurs(rtnetlink, routes);
    const theirs = (): Promise<Pair | undefined> => measureIp(rtnetlink, netns, batch, hasIp);
    if (round % 2 === 0) rounds.push({ first: await ours(), ip: await theirs(), second: await ours() });
    else {
      const second = await ours();
      rounds.push({ second, ip: await theirs(), first: await ours() });
    }
  }
  return summary(rounds);
}

interface Pair {
  readonly add: number;
  readonly list: number;
}

interface Round {
  readonly first: Pair;
  readonly second: Pair;
  readonly ip: Pair | undefined;
}

async function measureOurs(rtnetlink: Rtnetlink, routes: readonly Route[]): Promise<Pair> {
  const add = await milliseconds(() => rtnetlink.routes.addMany(routes));
  const list = await milliseconds(async () =>
    expectCount((await rtnetlink.routes.list({ protocol: 4 })).length),
  );
  await rtnetlink.routes.deleteMany(routes);
  return { add, list };
}

async function measureIp(
  rtnetlink: Rtnetlink,
  netns: Netns,
  batch: string,
  hasIp: boolean,
): Promise<Pair | undefined> {
  if (!hasIp) return undefined;
  const add = await milliseconds(() => {
    const { status, stderr } = ip(netns, ["-batch", "-"], batch);
    if (status !== 0) throw new Error(`Cannot add routes with ip -batch: ${stderr}`);
  });
  const list = await milliseconds(() => {
    const { stdout } = ip(netns, ["-json", "route", "show", "proto", "4"]);
    expectCount((JSON.parse(stdout) as unknown[]).length);
  });
  await rtnetlink.routes.deleteMany(await rtnetlink.routes.list({ protocol: 4 }));
  return { add, list };
}

function ip(netns: Netns, args: readonly string[], input?: string): SpawnSyncReturns<string> {
  return netns.run(() =>
    spawnSync("ip", args, { encoding: "utf8", maxBuffer: 64 << 20, ...(input !== undefined && { input }) }),
  );
}

async function milliseconds(work: () => void | Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function expectCount(count: number): void {
  if (count !== ROUTES) throw new Error(`Cannot measure: ${count} routes are listed, expected ${ROUTES}`);
}

function summary(rounds: readonly Round[]): BenchResult {
  const ratios: Record<string, number> = {
    "add/add": median(rounds.map(({ first, second }) => first.add / second.add)),
    "list/list": median(rounds.map(({ first, second }) => first.list / second.list)),
  };
  const figures: Record<string, number> = {
    "add ms": median(rounds.flatMap(({ first, second }) => [first.add, second.add])),
    "list ms": median(rounds.flatMap(({ first, second }) => [first.list, second.list])),
  };
  const compared = rounds.flatMap((round) => (round.ip ? [{ ...round, ip: round.ip }] : []));
  if (compared.length > 0) {
    for (const key of ["add", "list"] as const) {
      ratios[`${key}/ip`] = median(
        compared.map(({ first, second, ip: other }) => (first[key] + second[key]) / 2 / other[key]),
      );
      figures[`ip ${key} ms`] = median(compared.map(({ ip: other }) => other[key]));
    }
  }
  return { ratios, figures };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
