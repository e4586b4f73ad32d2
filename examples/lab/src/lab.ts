import type { NodeEvent } from "@loden/lodend";
import { describeEvent } from "./describe-event.ts";
import { startHost, type LabHost } from "./lab-host.ts";
import { openStorage, type StoreName } from "./open-storage.ts";
import { transfer, type TransferResult } from "./transfer.ts";
import { makeUnderlay } from "./underlay.ts";

/** The network that the hosts share, as flannel's configuration has it. */
export const NETWORK = "10.42.0.0/16";

/** A whole overlay on one machine. */
export interface Lab {
  /** All hosts, the stopped ones too, in the order in which they joined. */
  readonly hosts: readonly LabHost[];
  /** Starts one more host. */
  addHost(): Promise<LabHost>;
  /**
   * Pings from the first container of a host to the first of another.
   * @returns milliseconds, or `null` when no answer came.
   */
  ping(from: LabHost, to: LabHost, timeoutMs: number): Promise<number | null>;
  /**
   * Moves bytes over TCP from the first container of a host to the second of another.
   * @throws {Error} when a host is stopped, or after a minute.
   */
  transfer(from: LabHost, to: LabHost, bytes: number, signal?: AbortSignal): Promise<TransferResult>;
  /** Stops all hosts and removes everything. */
  close(): Promise<void>;
}

/**
 * Makes an overlay without hosts: a switch, and a storage for leases.
 *
 * @param store where leases are kept.
 * @param onEvent told what happens, in words.
 * @returns the lab; the caller closes it.
 */
export async function openLab(store: StoreName, onEvent: (text: string) => void): Promise<Lab> {
  const config = JSON.stringify({ Network: NETWORK, Backend: { Type: "udp" } });
  const storage = await openStorage(store, config);
  const underlay = await makeUnderlay();
  const hosts: LabHost[] = [];
  let started = 0;

  async function addHost(): Promise<LabHost> {
    const host = await startHost({
      number: ++started,
      underlay,
      store: storage.open(),
      onEvent: (name: string, event: NodeEvent) => onEvent(`${name}: ${describeEvent(event)}`),
    });
    hosts.push(host);
    return host;
  }

  async function close(): Promise<void> {
    await Promise.all(hosts.map((host) => host.stop()));
    underlay.close();
    await storage[Symbol.asyncDispose]();
  }

  return { hosts, addHost, ping, transfer: move, close };
}

async function ping(from: LabHost, to: LabHost, timeoutMs: number): Promise<number | null> {
  const [target] = to.containers;
  return target === undefined ? null : await from.ping(target.address, timeoutMs);
}

async function move(
  from: LabHost,
  to: LabHost,
  bytes: number,
  signal?: AbortSignal,
): Promise<TransferResult> {
  const [source] = from.containers;
  const target = to.containers[1];
  if (source === undefined || target === undefined) {
    throw new Error(
      `Cannot move bytes from ${from.name} to ${to.name}: one of them is stopped, expected both up`,
    );
  }
  const ends = [
    from.stopping,
    to.stopping,
    AbortSignal.timeout(60_000),
    ...(signal === undefined ? [] : [signal]),
  ];
  return await transfer({ from: source.netns, to: target, bytes, signal: AbortSignal.any(ends) });
}
