import { followLeases, type LeaseStore, parseSubnetKey } from "@loden/lease";
import { formatSubnet, type Subnet } from "@loden/subnet";
import { openEtcdLeaseStore } from "./index.ts";
import { type EtcdCluster, startEtcdCluster } from "./testing.ts";
import { hostAttributes } from "./testing/host-attributes.fixture.ts";
import { type EtcdCounters, readEtcdCounters } from "./testing/read-etcd-counters.fixture.ts";
import { startCountingProxy } from "./testing/start-counting-proxy.fixture.ts";
import { startJoinThreads } from "./testing/start-join-threads.fixture.ts";

/** The name of this benchmark. */
export const name = "join";

/** Beside how many leases a claim is timed. */
const many = 10_000;
const few = 100;
const claimsPerRound = 20;
/** How many leases are written at a time to fill an etcd. */
const fillers = 32;

/**
 * Hosts join one real etcd, each with a list, a grant and a transaction (`acquireLease`), some at a time in a thread for each
 * processor, while another host follows them over a connection of its own. Then claims alone (grant and transaction) are timed beside 10,000 leases and
 * beside 100, in two etcds, in alternating order; `aa` is a third etcd with 100 against the second.
 *
 * All hosts share one machine with etcd, so `seconds` is the work of all of them, not the wait of one: each
 * lists what is there already, which makes it grow with the square of the number of hosts.
 *
 * @param o - How many rounds. Fewer than 15 only show that it runs: then 500 hosts join, else 10,000.
 * @returns `ratios`: the median of the rounds. `figures`: calls per join by etcd's own counters (`rpcsPerJoin`), bytes that
 *   the follower got for each host that came (`bytesPerLease`) and one that starts after them (`bytesPerListedLease`), the time of a list (`listMsPer1000`), seconds until the follower knew
 *   the last host, and the processor time that this process and etcd took for it.
 * @throws {Error} If etcd is not installed, or the follower does not end up with etcd's leases.
 */
export async function run(o: {
  rounds: number;
}): Promise<{ ratios: Record<string, number>; figures: Record<string, number> }> {
  const hosts = o.rounds < 15 ? 500 : many;
  await using crowd = await startNetwork();
  const joined = await joinAll(crowd, hosts);
  await using beside = openEtcdLeaseStore({ endpoints: crowd.endpoints, callTimeoutMs });
  const listMsPer1000 = await timeLists(beside, Math.max(o.rounds, 5));
  await fill(beside, hosts, many);
  const claims = await compareClaims(beside, o.rounds);
  return {
    ratios: claims.ratios,
    figures: { hosts, ...joined, listMsPer1000, ...claims.figures },
  };
}

/** Patient: the hosts of a thread wait for each other, which real hosts do not. */
const callTimeoutMs = 60_000;
const ttlMs = 24 * 60 * 60_000;

async function startNetwork(): Promise<EtcdCluster> {
  const etcd = await startEtcdCluster();
  // So many subnets that two hosts rarely choose the same at once: each lost race costs three more calls.
  await etcd.ctl("put", "/coreos.com/network/config", '{"Network":"16.0.0.0/4","SubnetLen":24}');
  return etcd;
}

async function joinAll(etcd: EtcdCluster, hosts: number): Promise<Record<string, number>> {
  await using proxy = await startCountingProxy(etcd.endpoints[0] ?? "");
  await using follower = openEtcdLeaseStore({ endpoints: [proxy.endpoint], callTimeoutMs });
  const updates = followLeases(follower);
  // The follower's own list and watch come before what is counted.
  await updates.next();
  await using threads = await startJoinThreads({ endpoints: etcd.endpoints, hosts, callTimeoutMs, ttlMs });
  const before = await measure(etcd, proxy.receivedBytes);
  const converged = follow(updates, hosts);
  await threads.joinAll();
  const joinedAt = performance.now();
  const known = await converged;
  const after = await measure(etcd, proxy.receivedBytes);
  await checkKnown(follower, known);
  const callsOf = ({ calls }: EtcdCounters): number => Object.values(calls).reduce((a, b) => a + b, 0);
  const listed = await bytesOfLateFollower(etcd);
  return {
    rpcsPerJoin: (callsOf(after.counters) - callsOf(before.counters)) / hosts,
    // A claim that comes too late is the only one here to revoke its grant.
    lostRaces: (after.counters.calls["LeaseRevoke"] ?? 0) - (before.counters.calls["LeaseRevoke"] ?? 0),
    bytesPerLease: (after.receivedBytes - before.receivedBytes) / hosts,
    bytesPerListedLease: listed / hosts,
    seconds: (after.at - before.at) / 1_000,
    followerLagMs: Math.max(0, after.at - joinedAt),
    clientCpuSeconds: after.cpuSeconds - before.cpuSeconds,
    etcdCpuSeconds: after.counters.cpuSeconds - before.counters.cpuSeconds,
  };
}

/** What it takes to follow hosts that have all joined before. */
async function bytesOfLateFollower(etcd: EtcdCluster): Promise<number> {
  await using proxy = await startCountingProxy(etcd.endpoints[0] ?? "");
  await using store = openEtcdLeaseStore({ endpoints: [proxy.endpoint], callTimeoutMs });
  await followLeases(store).next();
  return proxy.receivedBytes;
}

interface Measure {
  readonly at: number;
  readonly receivedBytes: number;
  readonly cpuSeconds: number;
  readonly counters: EtcdCounters;
}

async function measure({ members: [member] }: EtcdCluster, receivedBytes: number): Promise<Measure> {
  const at = performance.now();
  const { user, system } = process.cpuUsage();
  if (member === undefined) throw new TypeError("Cannot measure etcd: the cluster has no member");
  return { at, receivedBytes, cpuSeconds: (user + system) / 1e6, counters: await readEtcdCounters(member) };
}

/** The subnets that are known as soon as there are as many as hosts. */
async function follow(updates: ReturnType<typeof followLeases>, hosts: number): Promise<Set<string>> {
  for await (const { peers } of updates) {
    if (peers.length === hosts) return new Set(peers.map((peer) => formatSubnet(peer.subnet)));
  }
  throw new Error("Cannot follow leases: the store was closed before all hosts were known");
}

async function checkKnown(store: LeaseStore, known: ReadonlySet<string>): Promise<void> {
  const { leases } = await store.list();
  const missing = leases.filter(({ subnet }) => !known.has(formatSubnet(subnet)));
  if (missing.length > 0 || leases.length !== known.size) {
    throw new Error(
      `Cannot measure joins: the follower knows ${known.size} leases, expected the ${leases.length} of etcd`,
    );
  }
}

async function timeLists(store: LeaseStore, rounds: number): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const start = performance.now();
    const { leases } = await store.list();
    times.push(((performance.now() - start) * 1_000) / leases.length);
  }
  return median(times);
}

/** Gives leases to the hosts from `first` up to `end`, without lists. */
async function fill(store: LeaseStore, first: number, end: number): Promise<void> {
  await inParallel(end - first, async (index) => {
    const host = first + index;
    // Hosts that joined chose their subnets at random in 16.0.0.0/4; these are others.
    await store.claim(subnetOf(11, host), hostAttributes(host), { ttlMs });
  });
}

async function compareClaims(
  beside: LeaseStore,
  rounds: number,
): Promise<{ ratios: Record<string, number>; figures: Record<string, number> }> {
  await using first = await startNetwork();
  await using second = await startNetwork();
  await using lonely = openEtcdLeaseStore({ endpoints: first.endpoints, callTimeoutMs });
  await using twin = openEtcdLeaseStore({ endpoints: second.endpoints, callTimeoutMs });
  for (const store of [lonely, twin]) await fill(store, 0, few);
  const stores = [lonely, twin, beside];
  for (const store of stores) await timeClaims(store);
  const results: { few: number; again: number; many: number }[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const times = new Map<LeaseStore, number>();
    for (const store of round % 2 === 0 ? stores : stores.toReversed()) {
      times.set(store, await timeClaims(store));
    }
    const [one = 0, again = 0, all = 0] = stores.map((store) => times.get(store));
    results.push({ few: one, again, many: all });
  }
  const ratios = results.map((round) => round.many / round.few);
  const aa = results.map((round) => round.again / round.few);
  return {
    ratios: { [`join${many}/join${few}`]: median(ratios), aa: median(aa) },
    figures: {
      [`claim${many}Ms`]: median(results.map((round) => round.many)),
      [`claim${few}Ms`]: median(results.map((round) => round.few)),
      aaSpread: spread(aa),
    },
  };
}

/** Milliseconds of a claim, median of some one after another; they are released afterwards. */
async function timeClaims(store: LeaseStore): Promise<number> {
  const times: number[] = [];
  for (let claim = 0; claim < claimsPerRound; claim += 1) {
    const start = performance.now();
    const lease = await store.claim(subnetOf(12, claim), hostAttributes(0xff_00 + claim), { ttlMs });
    times.push(performance.now() - start);
    await store.release(lease);
  }
  return median(times);
}

async function inParallel(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const one = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await work(index);
  };
  await Promise.all(Array.from({ length: Math.min(fillers, count) }, one));
}

function subnetOf(network: number, host: number): Subnet {
  const subnet = parseSubnetKey(`${network}.${host >> 8}.${host & 0xff}.0-24`);
  if (subnet === undefined)
    throw new RangeError(`Cannot name subnet: ${host}, expected a number below 65536`);
  return subnet;
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
