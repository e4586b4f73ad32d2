import { parseAddress, parsePrefix } from "@loden/ip";
import { createNetns, type Netns } from "@loden/netns";
import {
  formatFdbEntry,
  formatNeighbour,
  formatRoute,
  openRtnetlink,
  type Route,
  type Rtnetlink,
} from "@loden/rtnetlink";
import { spawnSync } from "node:child_process";
import type { DesiredState } from "./desired-state.ts";
import type { KernelState } from "./kernel-state.ts";
import { openKernelState } from "./open-kernel-state.ts";

/** Name under which `npm run bench -- routes` finds this benchmark. */
export const name = "routes";

const COUNT = 10_000;

/** What a benchmark hands back: ratios against something in the same run, and figures in milliseconds. */
export interface BenchResult {
  readonly ratios: Readonly<Record<string, number>>;
  readonly figures: Readonly<Record<string, number>>;
}

/**
 * Adds and lists 10,000 routes, and the neighbour, forwarding entry and route of each of 10,000 VXLAN peers, with one
 * `ip -batch` and `bridge -batch` and one `ip -json` and `bridge -json` in the same run where they are installed; then finds
 * nothing to do, and puts one missing route back. In a namespace of its own; needs root.
 *
 * @param options How many interleaved rounds; medians are given.
 * @returns Ratios of our time to that of `ip` and `bridge` (`add/ip`, `list/ip`, `peers add/ip`, `peers list/ip`, below 1 is
 *   faster), of one half of our work to the other (`add/add`, `list/list`: the noise); in `figures` milliseconds, of time or,
 *   for `repairCpuMs`, of our process's processor time for one missing route of 10,000.
 */
export async function run(options: { readonly rounds: number }): Promise<BenchResult> {
  using netns = createNetns();
  using rtnetlink = openRtnetlink({ netns });
  await rtnetlink.links.add({ name: "bench0", kind: "bridge", addrGenMode: "none", up: true });
  const samples = new Map<string, number[]>();
  const take = async (figure: string, work: () => unknown): Promise<number> => {
    const start = performance.now();
    await work();
    const elapsed = performance.now() - start;
    record(samples, figure, elapsed);
    return elapsed;
  };
  const hasIp = execute(netns, "ip -Version") && execute(netns, "bridge -Version");
  for (let round = 0; round < options.rounds; round++) {
    const context: Context = { netns, rtnetlink, take, hasIp, samples };
    await measureRoutes(context, round % 2 === 0);
    await measurePeers(context, round % 2 === 0);
    await measureRepair(context);
  }
  return summary(samples);
}

interface Context {
  readonly netns: Netns;
  readonly rtnetlink: Rtnetlink;
  readonly hasIp: boolean;
  readonly samples: Map<string, number[]>;
  /** Measures the milliseconds of some work and keeps them under a name. */
  readonly take: (figure: string, work: () => unknown) => Promise<number>;
}

const routes: readonly Route[] = Array.from({ length: COUNT }, (_, index) => ({
  destination: parsePrefix(`10.${index >> 8}.${index & 255}.0/24`),
  link: "bench0",
  protocol: 4,
}));
const routeBatch = routes.map((route) => `route add ${formatRoute(route)}\n`).join("");

async function measureRoutes(context: Context, oursFirst: boolean): Promise<void> {
  const { netns, rtnetlink, take, hasIp, samples } = context;
  const ours = async (half: string): Promise<void> => {
    await take(`add ${half}`, () => rtnetlink.routes.addMany(routes));
    await take(`list ${half}`, async () =>
      expectCount((await rtnetlink.routes.list({ protocol: 4 })).length),
    );
    await rtnetlink.routes.deleteMany(routes);
  };
  const theirs = async (): Promise<void> => {
    if (!hasIp) return;
    await take("ip add", () => execute(netns, "ip -batch -", routeBatch));
    await take("ip list", () => expectCount(count(netns, "ip -json route show proto 4")));
    await rtnetlink.routes.deleteMany(routes);
  };
  await ours(oursFirst ? "first" : "second");
  await theirs();
  await ours(oursFirst ? "second" : "first");
  for (const what of ["add", "list"]) {
    const [first, second] = [last(samples, `${what} first`), last(samples, `${what} second`)];
    record(samples, `ratio ${what}/${what}`, first / second);
    if (hasIp) record(samples, `ratio ${what}/ip`, (first + second) / 2 / last(samples, `ip ${what}`));
  }
}

const LINK = "bench.1";
const peers: DesiredState = {
  links: [
    {
      name: LINK,
      kind: "vxlan",
      lower: "bench0",
      addrGenMode: "none",
      vxlan: { id: 1, port: 8472, learning: false },
    },
  ],
  addresses: [{ link: LINK, address: parseAddress("10.254.0.0"), prefixLength: 32 }],
  ...peerEntries(),
};

function peerEntries(): Required<Pick<DesiredState, "neighbours" | "fdb" | "routes">> {
  const each = Array.from({ length: COUNT }, (_, index) => {
    const [high, low] = [index >> 8, index & 255];
    const hex = (byte: number): string => byte.toString(16).padStart(2, "0");
    return {
      address: parseAddress(`10.${high}.${low}.0`),
      subnet: parsePrefix(`10.${high}.${low}.0/24`),
      mac: `02:00:00:00:${hex(high)}:${hex(low)}`,
      host: parseAddress(`172.16.${high}.${low}`),
    };
  });
  return {
    neighbours: each.map(({ address, mac }) => ({ link: LINK, address, mac })),
    fdb: each.map(({ mac, host }) => ({ link: LINK, mac, destination: host })),
    routes: each.map(({ subnet, address }) => ({
      destination: subnet,
      gateway: address,
      link: LINK,
      onlink: true,
      protocol: 76,
    })),
  };
}

const peerBatch = [
  ...(peers.neighbours ?? []).map((neighbour) => `neighbour replace ${formatNeighbour(neighbour)}\n`),
  ...(peers.routes ?? []).map((route) => `route replace ${formatRoute(route)}\n`),
].join("");
const fdbBatch = (peers.fdb ?? []).map((entry) => `fdb replace ${formatFdbEntry(entry)}\n`).join("");

async function measurePeers(context: Context, oursFirst: boolean): Promise<void> {
  const { netns, take, hasIp, samples } = context;
  using state = openKernelState({ netns, links: [LINK] });
  const ours = async (): Promise<void> => {
    await take("peers add", () => state.apply(peers));
    await take("peers list", async () => expectCount(((await state.list()).length - 2) / 3));
    await take("peers nothing to do", () => state.apply(peers));
    await state.clear();
  };
  const theirs = async (): Promise<void> => {
    if (!hasIp) return;
    await state.apply({ links: peers.links, addresses: peers.addresses });
    await take("ip peers add", () => {
      execute(netns, "bridge -batch -", fdbBatch);
      execute(netns, "ip -batch -", peerBatch);
    });
    await take("ip peers list", () => {
      for (const command of [
        `ip -json neighbour show dev ${LINK} nud permanent`,
        `bridge -json fdb show dev ${LINK}`,
        "ip -json route show proto 76",
      ])
        expectCount(count(netns, command));
    });
    await state.clear();
  };
  if (oursFirst) await ours();
  await theirs();
  if (!oursFirst) await ours();
  if (!hasIp) return;
  for (const what of ["add", "list"])
    record(
      samples,
      `ratio peers ${what}/ip`,
      last(samples, `peers ${what}`) / last(samples, `ip peers ${what}`),
    );
}

/** One route of many is deleted behind our back: what it costs us to put it back. */
async function measureRepair({ netns, rtnetlink, take, samples }: Context): Promise<void> {
  using state = openKernelState({ netns, repair: true });
  const desired = { routes: routes.map((route) => ({ ...route, protocol: 76 })) };
  await state.apply(desired);
  await take("routes nothing to do", () => state.apply(desired));
  for (const route of desired.routes.slice(5_000, 5_005)) {
    const repaired = nextRepair(state);
    await rtnetlink.routes.delete(route);
    const before = process.cpuUsage();
    await take("repair ms", () => repaired);
    const { user, system } = process.cpuUsage(before);
    record(samples, "repairCpuMs", (user + system) / 1000);
  }
  await state.clear();
}

async function nextRepair(state: KernelState): Promise<void> {
  for await (const { type } of state.watch()) if (type === "repaired") return;
}

/** Runs a command in the namespace; false when it is not installed. */
function execute(netns: Netns, line: string, input = ""): boolean {
  return outputOf(netns, line, input) !== undefined;
}

function count(netns: Netns, line: string): number {
  return (JSON.parse(outputOf(netns, line) ?? "[]") as unknown[]).length;
}

function outputOf(netns: Netns, line: string, input = ""): string | undefined {
  const [command = "", ...args] = line.split(" ");
  const { error, status, stdout, stderr } = netns.run(() =>
    spawnSync(command, args, { encoding: "utf8", maxBuffer: 64 << 20, input }),
  );
  if (error) return undefined;
  if (status !== 0) throw new Error(`Cannot run ${line}: ${stderr}`);
  return stdout;
}

function expectCount(listed: number): void {
  if (listed !== COUNT) throw new Error(`Cannot measure: ${listed} are listed, expected ${COUNT}`);
}

function record(samples: Map<string, number[]>, figure: string, value: number): void {
  const values = samples.get(figure);
  if (values) values.push(value);
  else samples.set(figure, [value]);
}

function last(samples: ReadonlyMap<string, readonly number[]>, figure: string): number {
  return samples.get(figure)?.at(-1) ?? Number.NaN;
}

function summary(samples: ReadonlyMap<string, readonly number[]>): BenchResult {
  const ratios: Record<string, number> = {};
  const figures: Record<string, number> = {};
  for (const [figure, values] of samples) {
    if (figure.startsWith("ratio ")) ratios[figure.slice("ratio ".length)] = median(values);
    else figures[figure] = median(values);
  }
  return { ratios, figures };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
