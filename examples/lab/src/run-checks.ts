import type { Lab } from "./lab.ts";
import type { LabHost } from "./lab-host.ts";
import type { TransferView } from "./lab-view.ts";

/** Bytes of each transfer of the checks. */
const TRANSFER_BYTES = 32 * 1024 * 1024;
/** How long a pair may take until its first answer: the second host may have joined only just now. */
const REACH_MS = 10_000;

/** What the checks found; `--json` prints it. */
export interface CheckReport {
  /** Whether every pair is reachable and every transfer's checksum equal. */
  readonly ok: boolean;
  readonly hosts: number;
  /** Ordered pairs of hosts: a container of the one pings a container of the other. */
  readonly pairs: { readonly reachable: number; readonly total: number };
  /** TCP transfers, from each host to the next. */
  readonly transfers: { readonly equal: number; readonly total: number };
  /** Median round-trip time over the reachable pairs, in milliseconds. */
  readonly rttMs: number | null;
  /** Rate of each transfer, in Mbit/s. */
  readonly mbitPerSecond: readonly number[];
}

/**
 * Checks an overlay: every pair of hosts by ping, and a TCP transfer from each host to the next.
 *
 * @param lab with at least two hosts.
 * @param say told each result in words.
 * @param signal gives up.
 * @returns what was found.
 */
export async function runChecks(
  lab: Lab,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<CheckReport> {
  const pairs = lab.hosts.flatMap((from) =>
    lab.hosts.filter((to) => to !== from).map((to) => ({ from, to })),
  );
  const rtts = await Promise.all(pairs.map(({ from, to }) => reach(lab, from, to)));
  pairs.forEach(({ from, to }, i) => {
    const rtt = rtts[i];
    say(
      `${from.name} -> ${to.name}: ${typeof rtt === "number" ? `answers in ${rtt.toFixed(2)} ms` : "NO ANSWER"}`,
    );
  });
  const transfers: TransferView[] = [];
  for (const [i, from] of lab.hosts.entries()) {
    signal.throwIfAborted();
    const to = lab.hosts[(i + 1) % lab.hosts.length] as LabHost;
    try {
      const result = await lab.transfer(from, to, TRANSFER_BYTES, signal);
      transfers.push({ from: from.name, to: to.name, ...result });
      const rate = ((result.bytes * 8) / result.seconds / 1e6).toFixed(0);
      say(
        `${from.name} -> ${to.name}: ${TRANSFER_BYTES / 2 ** 20} MiB over TCP at ${rate} Mbit/s, checksum ${result.equal ? "equal" : "DIFFERS"}`,
      );
    } catch (error) {
      transfers.push({ from: from.name, to: to.name, bytes: 0, seconds: 1, equal: false });
      say(`${from.name} -> ${to.name}: transfer FAILED: ${(error as Error).message}`);
    }
  }
  const answered = rtts.filter((rtt) => rtt !== null).toSorted((a, b) => a - b);
  const equal = transfers.filter((result) => result.equal).length;
  return {
    ok: answered.length === pairs.length && equal === transfers.length,
    hosts: lab.hosts.length,
    pairs: { reachable: answered.length, total: pairs.length },
    transfers: { equal, total: transfers.length },
    rttMs: answered[answered.length >> 1] ?? null,
    mbitPerSecond: transfers.map(({ bytes, seconds }) => Math.round((bytes * 8) / seconds / 1e6)),
  };
}

async function reach(lab: Lab, from: LabHost, to: LabHost): Promise<number | null> {
  const deadline = performance.now() + REACH_MS;
  while (performance.now() < deadline) {
    const rtt = await lab.ping(from, to, 1000);
    if (rtt !== null) return rtt;
  }
  return null;
}
