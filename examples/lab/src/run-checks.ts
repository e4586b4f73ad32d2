import type { Address, AddressFamily } from "@loden/ip";
import type { Lab } from "./lab.ts";
import type { LabHost } from "./lab-host.ts";
import type { HostView, TransferView } from "./lab-view.ts";

/** Bytes of each transfer of the checks, unless they are told otherwise. */
const TRANSFER_BYTES = 32 * 1024 * 1024;
/** Bytes of each datagram of the checks: more than any path takes whole. */
const DATAGRAM_BYTES = 12_000;
/** How often a datagram is sent until one has arrived: UDP may lose it. */
const DATAGRAM_ATTEMPTS = 5;
/** How long a pair may take until its first answer: the second host may have joined only just now. */
const REACH_MS = 10_000;

/** What the checks found; `--json` prints it. */
export interface CheckReport {
  /** Whether everything is as it should be. */
  readonly ok: boolean;
  readonly hosts: number;
  readonly backend: string;
  /** The address families of the overlay; what follows counts each of them. */
  readonly families: readonly AddressFamily[];
  /** Ordered pairs of hosts: a container of the one pings a container of the other. */
  readonly pairs: { readonly reachable: number; readonly total: number };
  /** TCP transfers, from each host to the next. */
  readonly transfers: { readonly equal: number; readonly total: number };
  /** Large UDP datagrams between ordered pairs of hosts: whole, with the source address of the container that sent them. */
  readonly datagrams: { readonly ownSource: number; readonly total: number };
  /** Large UDP datagrams from each host's container to the host outside: whole, with the host's address as their source. Absent without one. */
  readonly outside?: { readonly hostSource: number; readonly total: number };
  /** With the udp backend: how many hosts' kernels carry plain packets by themselves, and where one does not, why. Absent with others. */
  readonly kernelPath?: { readonly on: number; readonly total: number; readonly reason?: string };
  /** Median round-trip time over the reachable pairs, in milliseconds. */
  readonly rttMs: number | null;
  /** Rate of each transfer, in Mbit/s. */
  readonly mbitPerSecond: readonly number[];
}

/** Settings of {@link runChecks}. */
export interface CheckOptions {
  /** Told each result in words. */
  readonly say: (text: string) => void;
  /** Gives up. */
  readonly signal: AbortSignal;
  /** Of each TCP transfer. Default 32 MiB. */
  readonly transferBytes?: number | undefined;
}

/** One direction between two hosts in one address family. */
interface Way {
  readonly from: LabHost;
  readonly to: LabHost;
  readonly family: AddressFamily;
}

/**
 * Checks an overlay, in each of its address families: every pair of hosts by ping and by a large UDP datagram, a TCP transfer from each host to the
 * next, and that the host outside sees hosts' addresses alone.
 *
 * @param lab with at least two hosts.
 * @param options where results go.
 * @returns what was found.
 */
export async function runChecks(lab: Lab, options: CheckOptions): Promise<CheckReport> {
  const { say, signal } = options;
  const pairs = lab.families.flatMap((family) =>
    lab.hosts.flatMap((from) => lab.hosts.filter((to) => to !== from).map((to) => ({ from, to, family }))),
  );
  const rtts = await Promise.all(pairs.map((way) => reach(lab, way)));
  for (const [index, way] of pairs.entries()) {
    const rtt = rtts[index];
    say(`${nameOf(way)}: ${typeof rtt === "number" ? `answers in ${rtt.toFixed(2)} ms` : "NO ANSWER"}`);
  }
  signal.throwIfAborted();
  const ownSource = await checkSources(lab, pairs, options);
  const outside = lab.settings.nat ? await checkOutside(lab, options) : undefined;
  const transfers = await checkTransfers(lab, options);
  const answered = rtts.filter((rtt) => rtt !== null).toSorted((a, b) => a - b);
  const equal = transfers.filter((result) => result.equal).length;
  return {
    ok:
      answered.length === pairs.length &&
      ownSource === pairs.length &&
      equal === transfers.length &&
      outside?.hostSource === outside?.total,
    hosts: lab.hosts.length,
    backend: lab.settings.backend,
    families: lab.families,
    pairs: { reachable: answered.length, total: pairs.length },
    transfers: { equal, total: transfers.length },
    datagrams: { ownSource, total: pairs.length },
    ...(outside && { outside }),
    ...kernelPathOf(await Promise.all(lab.hosts.map((host) => host.view()))),
    rttMs: answered[answered.length >> 1] ?? null,
    mbitPerSecond: transfers.map(({ bytes, seconds }) => Math.round((bytes * 8) / seconds / 1e6)),
  };
}

function kernelPathOf(hosts: readonly HostView[]): Pick<CheckReport, "kernelPath"> {
  const states = hosts.flatMap(({ kernelPath }) => kernelPath ?? []);
  if (states.length === 0) return {};
  const off = states.filter((state) => !state.on);
  const [first] = off;
  const kernelPath = { on: states.length - off.length, total: states.length };
  return { kernelPath: first === undefined ? kernelPath : { ...kernelPath, reason: first.reason } };
}

function nameOf({ from, to, family }: Way): string {
  return `${from.name} -> ${to.name}${family === 6 ? " over IPv6" : ""}`;
}

async function reach(lab: Lab, { from, to, family }: Way): Promise<number | null> {
  const deadline = performance.now() + REACH_MS;
  while (performance.now() < deadline) {
    const rtt = await lab.ping(from, to, 1000, family);
    if (rtt !== null) return rtt;
  }
  return null;
}

/** How many datagrams arrive with the address of the container that sent them. */
async function checkSources(lab: Lab, ways: readonly Way[], { say }: CheckOptions): Promise<number> {
  const wrong: string[] = [];
  for (const way of ways) {
    const own = way.from.containers[0]?.addresses.find(({ family }) => family === way.family);
    const seen = await sourceOf(lab, way.from, way.to, way.family);
    if (own === undefined || seen?.equals(own) !== true) wrong.push(`${nameOf(way)}: ${describe(seen)}`);
  }
  const good = ways.length - wrong.length;
  say(
    `${good} of ${ways.length} UDP datagrams of ${DATAGRAM_BYTES} bytes arrive whole, from the container's own address`,
  );
  for (const text of wrong) say(`${text}, which is WRONG`);
  return good;
}

/** How many hosts' containers are seen outside with their host's address. */
async function checkOutside(lab: Lab, { say }: CheckOptions): Promise<CheckReport["outside"]> {
  let hostSource = 0;
  for (const host of lab.hosts) {
    for (const own of host.addresses) {
      const seen = await sourceOf(lab, host, "outside", own.family);
      const isOwn = seen?.equals(own) === true;
      if (isOwn) hostSource += 1;
      say(`${host.name} -> outside: ${describe(seen)}, ${isOwn ? "its host's address" : "which is WRONG"}`);
    }
  }
  return { hostSource, total: lab.hosts.length * lab.families.length };
}

function describe(seen: Address | null): string {
  return seen === null ? "a datagram does not arrive" : `a datagram arrives from ${seen.toString()}`;
}

async function sourceOf(
  lab: Lab,
  from: LabHost,
  to: LabHost | "outside",
  family: AddressFamily,
): Promise<Address | null> {
  for (let attempt = 1; ; attempt++) {
    const seen = await lab.datagram(from, to, DATAGRAM_BYTES, family);
    if (seen !== null || attempt === DATAGRAM_ATTEMPTS) return seen;
  }
}

async function checkTransfers(
  lab: Lab,
  { say, signal, transferBytes = TRANSFER_BYTES }: CheckOptions,
): Promise<TransferView[]> {
  const transfers: TransferView[] = [];
  for (const family of lab.families) {
    for (const [i, from] of lab.hosts.entries()) {
      signal.throwIfAborted();
      const to = lab.hosts[(i + 1) % lab.hosts.length] as LabHost;
      const name = nameOf({ from, to, family });
      try {
        const result = await lab.transfer(from, to, transferBytes, { family, signal });
        transfers.push({ name, ...result });
        const rate = ((result.bytes * 8) / result.seconds / 1e6).toFixed(0);
        say(
          `${name}: ${transferBytes / 2 ** 20} MiB over TCP at ${rate} Mbit/s, checksum ${result.equal ? "equal" : "DIFFERS"}`,
        );
      } catch (error) {
        transfers.push({ name, bytes: 0, seconds: 1, equal: false });
        say(`${name}: transfer FAILED: ${(error as Error).message}`);
      }
    }
  }
  return transfers;
}
