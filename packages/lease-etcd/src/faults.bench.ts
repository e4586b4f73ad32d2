import { parseLeaseValue } from "@loden/lease";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { openEtcdLeaseStore } from "./index.ts";
import {
  type EtcdCluster,
  type EtcdProcess,
  startEtcdCluster,
  startTcpProxy,
  type TcpProxy,
} from "./testing.ts";
import { CountingFollower, type Counts } from "./testing/counting-follower.fixture.ts";
import { CountingHost } from "./testing/counting-host.fixture.ts";
import { readEtcdCounters } from "./testing/read-etcd-counters.fixture.ts";

/** The name of this benchmark. */
export const name = "faults";

/**
 * Breaks a real cluster of three members, and sees how long writes stand still and how soon peers are right again. Through
 * each member one host writes as fast as etcd confirms, and another host follows; what breaks is the leader, or the
 * connections to it, for four seconds:
 *
 * - `none`: nothing, so this is what the measurement itself takes
 * - `kill`: SIGKILL; healed when the member serves again
 * - `stop`: SIGSTOP; healed by SIGCONT
 * - `restart`: SIGKILL of all members; healed when a majority serves again, and stalls are counted from there
 * - `cut`: connections to the leader break and are refused
 * - `silence`: connections to the leader carry nothing, without a sign; they break when it is healed
 *
 * @param o - How often each fault happens.
 * @returns `ratios`: none. `figures`, for each fault the longest of its rounds: `peersRightMs`, from healing until the last
 *   follower knows what etcd held then; and `writesStalledMs`, the longest time between confirmed writes of one host.
 * @throws {Error} If etcd is not installed, or a follower does not know in the end what etcd holds.
 */
export async function run(o: {
  rounds: number;
}): Promise<{ ratios: Record<string, number>; figures: Record<string, number> }> {
  await using setup = await startSetup();
  const figures: Record<string, number> = {};
  for (let round = 0; round < o.rounds; round += 1) {
    for (const [fault, happen] of Object.entries(faults)) {
      for (const [figure, value] of Object.entries(await measure(setup, happen))) {
        const key = `${fault}.${figure}`;
        figures[key] = Math.max(figures[key] ?? 0, value);
      }
    }
  }
  return { ratios: {}, figures };
}

const size = 3;
const holdMs = 4_000;
const patienceMs = 60_000;

interface Setup extends AsyncDisposable {
  readonly cluster: EtcdCluster;
  /** One before each member. */
  readonly proxies: readonly TcpProxy[];
}

/** A fault that began. */
interface Healing {
  /** Resolves when it is over. */
  readonly heal: () => Promise<void>;
  /** Whether there was no majority, so that nobody could write. */
  readonly isTotal?: boolean;
}

type Fault = (leader: EtcdProcess, connections: TcpProxy, { members }: EtcdCluster) => Promise<Healing>;

const faults: Readonly<Record<string, Fault>> = {
  none: async () => ({ heal: async () => {} }),
  kill: async (leader) => {
    await leader.signal("SIGKILL");
    return { heal: () => startAgain(leader) };
  },
  stop: async (leader) => {
    await leader.signal("SIGSTOP");
    return { heal: () => leader.signal("SIGCONT") };
  },
  restart: async (_leader, _connections, { members }) => {
    await Promise.all(members.map((member) => member.signal("SIGKILL")));
    // No member serves before it hears of a leader, which takes a majority.
    return { heal: () => Promise.any(members.map(startAgain)), isTotal: true };
  },
  cut: async (_leader, connections) => {
    connections.refuse();
    return { heal: async () => connections.restore() };
  },
  silence: async (_leader, connections) => {
    connections.swallow();
    return { heal: async () => connections.restore() };
  },
};

function startAgain(member: EtcdProcess): Promise<void> {
  member.start();
  return member.ready();
}

async function startSetup(): Promise<Setup> {
  await using started = new AsyncDisposableStack();
  const cluster = started.use(await startEtcdCluster({ size }));
  const proxies: TcpProxy[] = [];
  for (const endpoint of cluster.endpoints) proxies.push(started.use(await startTcpProxy(endpoint)));
  const owned = started.move();
  return { cluster, proxies, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function measure(
  { cluster, proxies }: Setup,
  fault: Fault,
): Promise<{ peersRightMs: number; writesStalledMs: number }> {
  const endpoints = proxies.map(({ endpoint }) => endpoint);
  const open = (index: number): ReturnType<typeof openEtcdLeaseStore> =>
    openEtcdLeaseStore({ endpoints, random: startingAt(index) });
  const followers = Array.from({ length: size }, (_, index) => new CountingFollower(open(index)));
  const hosts = Array.from({ length: size }, (_, index) => new CountingHost(open(index), index + 1));
  try {
    await until("all hosts write and all followers know", () => {
      return [...hosts, ...followers].every((one) => isAtWork(one));
    });
    const leader = await findLeader(cluster);
    const brokenAt = performance.now();
    const { heal, isTotal = false } = await fault(
      cluster.members[leader] as EtcdProcess,
      proxies[leader] as TcpProxy,
      cluster,
    );
    await sleep(holdMs);
    await heal();
    const healedAt = performance.now();
    const wanted = await readCounts(cluster);
    await until("all followers are right", () =>
      followers.every((follower) => follower.knowsSince(wanted) !== undefined),
    );
    await until("all hosts write", () => hosts.every(({ begunAt }) => begunAt > healedAt));
    await settle(cluster, hosts, followers);
    const rightAt = followers.map((follower) => follower.knowsSince(wanted) ?? Infinity);
    const from = isTotal ? healedAt : brokenAt;
    return {
      peersRightMs: Math.max(0, ...rightAt.map((at) => at - healedAt)),
      writesStalledMs: Math.max(...hosts.map(({ confirmedAt }) => longestPause(confirmedAt, from))),
    };
  } finally {
    await Promise.all([...hosts, ...followers].map((one) => one.close()));
    await Promise.all(cluster.members.map((member) => member.ready()));
    await cluster.ctl("del", leasePrefix, "--prefix");
  }
}

const leasePrefix = "/coreos.com/network/subnets/";

/** Makes a store begin with that member; later choices are random. */
function startingAt(index: number): () => number {
  let isFirst = true;
  return () => {
    if (!isFirst) return Math.random();
    isFirst = false;
    return (index + 0.5) / size;
  };
}

function isAtWork(one: CountingHost | CountingFollower): boolean {
  return one instanceof CountingHost ? one.confirmedAt.length > 10 : Object.keys(one.counts).length === size;
}

async function findLeader({ members }: EtcdCluster): Promise<number> {
  for (;;) {
    const counters = await Promise.all(members.map(readEtcdCounters));
    const index = counters.findIndex(({ isLeader }) => isLeader);
    if (index >= 0) return index;
    await sleep(20);
  }
}

/** Asks etcd as an independent client. */
async function readCounts({ ctl }: EtcdCluster): Promise<Counts> {
  const lines = (await ctl("get", leasePrefix, "--prefix", "--print-value-only")).trim().split("\n");
  const counts = lines.filter(Boolean).map((line): [string, number] => {
    const { publicIP, backendData } = parseLeaseValue(line);
    return [publicIP?.toString() ?? "", Number(backendData)];
  });
  return Object.fromEntries(counts);
}

/** Ends the writes; then every follower knows exactly what etcd holds. */
async function settle(
  cluster: EtcdCluster,
  hosts: readonly CountingHost[],
  followers: readonly CountingFollower[],
): Promise<void> {
  await Promise.all(hosts.map((host) => host.stop()));
  const last = await readCounts(cluster);
  await until("all followers know all that is left", () =>
    followers.every(({ counts }) => isDeepStrictEqual(counts, last)),
  );
}

/** The longest time between two of the instants, as far as it lies after `from`. */
function longestPause(instants: readonly number[], from: number): number {
  const pauses = instants.map((at, index) => at - Math.max(instants[index - 1] ?? from, from));
  return Math.max(0, ...pauses);
}

async function until(what: string, check: () => boolean): Promise<void> {
  const end = performance.now() + patienceMs;
  while (!check()) {
    if (performance.now() > end) throw new Error(`Waited ${patienceMs} ms in vain until ${what}`);
    await sleep(10);
  }
}
