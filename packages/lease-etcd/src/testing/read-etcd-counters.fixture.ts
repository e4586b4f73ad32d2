import type { EtcdProcess } from "./etcd-process.ts";

/** What one member says of itself at `/metrics`. */
export interface EtcdCounters {
  /** Calls that clients started since the member did, by method, such as `Range` or `LeaseGrant`. */
  readonly calls: Readonly<Record<string, number>>;
  /** Processor time since the member started, in seconds. */
  readonly cpuSeconds: number;
  /** Whether it leads the cluster. */
  readonly isLeader: boolean;
}

/**
 * Reads a member's own counters.
 *
 * @param member - which serves
 * @returns the counters
 */
export async function readEtcdCounters({ healthUrl }: EtcdProcess): Promise<EtcdCounters> {
  const answer = await fetch(`${healthUrl}/metrics`, { signal: AbortSignal.timeout(10_000) });
  const text = await answer.text();
  const calls: Record<string, number> = {};
  for (const [, method = "", count] of text.matchAll(startedCall)) calls[method] = Number(count);
  return {
    calls,
    cpuSeconds: Number(/^process_cpu_seconds_total (\S+)$/m.exec(text)?.[1]),
    isLeader: /^etcd_server_is_leader 1$/m.test(text),
  };
}

const startedCall = /^grpc_server_started_total\{grpc_method="(\w+)",[^}]*\} (\S+)$/gm;
