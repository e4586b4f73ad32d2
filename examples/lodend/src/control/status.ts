import type { KernelPathState } from "@loden/backend-udp";
import type { Lease, LeaseStore } from "@loden/lease";
import { formatSubnet, sameSubnet } from "@loden/subnet";
import type { Settings } from "../flags/read-settings.ts";
import type { Answers } from "../health/http-server.ts";
import type { LeaseState, NodeHealth } from "../health/node-health.ts";
import { udpBackendOf } from "../udp-backend-of.ts";
import { describeDevice, type DeviceStatus } from "../underlay/describe-device.ts";
import { networksOf } from "./run-record.ts";

/** How long the store may take to tell the ages of leases. */
const STORE_MS = 2_000;

/** What `lodend status` shows, and prints with `--json`. Instants are ISO 8601. */
export interface Status {
  readonly name: string;
  readonly version: string;
  readonly pid: number;
  readonly startedAt: string;
  /** Whether packets can flow; `problems` says why not. */
  readonly ready: boolean;
  readonly problems: readonly string[];
  /** What to look at although packets go on. */
  readonly warnings: readonly string[];
  readonly network: string | undefined;
  readonly backend: string | undefined;
  readonly subnet: string | undefined;
  readonly lease: { readonly state: LeaseState; readonly expiresAt: string | undefined };
  /** What peers send to. */
  readonly publicIP: string | undefined;
  readonly publicIPv6: string | undefined;
  /** The interface between hosts. */
  readonly interface: string | undefined;
  /** What that interface is like; `undefined` while there is none. */
  readonly underlay: DeviceStatus | undefined;
  /** The tunnel's device, where the backend has one; of two, one for each family, both with a space between. */
  readonly device: string | undefined;
  readonly mtu: number | undefined;
  /** Which packets the kernel passes on by itself, or why none; `undefined` for a backend that leaves all to it. */
  readonly kernelPath: KernelPathState | undefined;
  readonly traffic: Readonly<Record<"outbound" | "inbound", Traffic>> | undefined;
  /** Datagrams of containers that would have passed for a host's and were dropped. */
  readonly forged: { readonly packets: number; readonly bytes: number };
  readonly peers: readonly PeerStatus[];
  /** Whether the peers' ages are as the store has them now; else as they were last followed. */
  readonly peersAreFresh: boolean;
}

/** Packets and bytes of one direction, and drops by reason. */
export interface Traffic {
  readonly packets: number;
  readonly bytes: number;
  readonly dropped: Readonly<Record<string, number>>;
}

/** Another host. */
export interface PeerStatus {
  readonly subnet: string;
  readonly publicIP: string | undefined;
  /** When its lease ends unless it is renewed; `undefined` for a reservation. */
  readonly expiresAt: string | undefined;
}

/** What {@link readStatus} reads. */
export interface StatusSources {
  readonly health: NodeHealth;
  readonly store: LeaseStore | undefined;
  readonly settings: Pick<Settings, "name">;
  readonly version: string;
}

/**
 * What `lodend status` asks for at the control socket.
 *
 * @param sources what is known.
 * @returns the answer by its path.
 */
export function statusAnswers(sources: StatusSources): Answers {
  return {
    "/status": async () => [200, "application/json", `${JSON.stringify(await readStatus(sources))}\n`],
  };
}

/**
 * Reads how the daemon is. Asks the store for the age of every lease, and does without when it does not answer.
 *
 * @param sources what is known.
 * @returns the status.
 */
export async function readStatus({ health, store, settings, version }: StatusSources): Promise<Status> {
  const { node, underlay } = health;
  const listed = node && (await listLeases(store));
  const stats = node?.backend.stats();
  const attributes = node?.backend.attributes;
  const problems = health.problems();
  return {
    name: settings.name,
    version,
    pid: process.pid,
    startedAt: new Date(health.startedAt).toISOString(),
    ready: problems.length === 0,
    problems,
    warnings: health.warnings(),
    network: node && networksOf(node.network).join(" "),
    backend: node?.backend.type,
    subnet: node && formatSubnet(node.lease.subnet),
    lease: { state: health.leaseState, expiresAt: instant(node?.lease.expiresAt) },
    publicIP: attributes?.publicIP?.toString(),
    publicIPv6: attributes?.publicIPv6?.toString(),
    interface: underlay?.link,
    underlay: underlay && (await describeDevice(underlay.link).catch(() => undefined)),
    device: node?.backend.deviceNames.join(" ") || undefined,
    mtu: node?.backend.mtu,
    kernelPath: node && udpBackendOf(node.backend)?.kernelPath,
    traffic: stats && { outbound: stats.outbound, inbound: stats.inbound },
    forged: health.forged,
    peers: health.peers.map((peer) => peerStatus(freshest(peer, listed))),
    peersAreFresh: listed !== undefined,
  };
}

async function listLeases(store: LeaseStore | undefined): Promise<readonly Lease[] | undefined> {
  try {
    return (await store?.list({ signal: AbortSignal.timeout(STORE_MS) }))?.leases;
  } catch {
    // What is wrong with the store is told under `warnings`.
    return undefined;
  }
}

function freshest(peer: Lease, listed: readonly Lease[] | undefined): Lease {
  return listed?.find(({ subnet }) => sameSubnet(subnet, peer.subnet)) ?? peer;
}

function peerStatus({ subnet, attributes, expiresAt }: Lease): PeerStatus {
  const publicIP = (attributes.publicIP ?? attributes.publicIPv6)?.toString();
  return { subnet: formatSubnet(subnet), publicIP, expiresAt: instant(expiresAt) };
}

function instant(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}
