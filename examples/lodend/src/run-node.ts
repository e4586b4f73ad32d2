import type { Backend } from "@loden/backend";
import {
  acquireLease,
  followLeases,
  keepLease,
  releaseLease,
  type Lease,
  type LeaseChange,
  type LeaseStore,
} from "@loden/lease";
import {
  formatSubnet,
  formatSubnetEnv,
  parseSubnetEnv,
  sameSubnet,
  type NetworkConfig,
  type Subnet,
} from "@loden/subnet";
import type { NodeEvent } from "./node-event.ts";
import { readSubnetFile, writeSubnetFile } from "./write-subnet-file.ts";

/** What {@link runNode} wires together. */
export interface NodeOptions {
  /** Where leases are kept. */
  readonly store: LeaseStore;
  /** Opens the backend; called again when the node has to change its subnet. */
  openBackend(network: NetworkConfig): Backend;
  /** Where `subnet.env` is written. */
  readonly subnetFile: string;
  /** Whether `subnet.env` says that the node masquerades. Default false. */
  readonly ipMasq?: boolean | undefined;
  /** Give the lease back when the node stops. Default false, as flannel: a host that returns keeps its subnet. */
  readonly releaseOnExit?: boolean | undefined;
  /** Told what happens. */
  onEvent?(event: NodeEvent): void;
  /** Stops the node; `runNode` then resolves. */
  readonly signal: AbortSignal;
}

/** A node while it runs: what it holds now. */
export interface NodeState {
  readonly lease: Lease;
  readonly backend: Backend;
}

/**
 * Runs one host of an overlay until it is told to stop.
 *
 *     store -> acquire a lease -> join the overlay -> subnet.env
 *                  |                                     |
 *                keep it        follow the others -> backend.apply(peers)
 *
 * A lease that is lost is acquired again, the same subnet first; with another subnet the backend is opened anew.
 *
 * @param options store, backend and file.
 * @param onState told of what the node holds, whenever that changes.
 * @throws whatever acquiring a lease or joining throws; never for an outage of the store later on.
 */
export async function runNode(options: NodeOptions, onState?: (state: NodeState) => void): Promise<void> {
  const { store, signal, onEvent } = options;
  let previous = previousSubnet(options.subnetFile);
  let backend: Backend | undefined;
  let held: Lease | undefined;
  try {
    while (!signal.aborted) {
      const network = await store.getNetwork({ signal });
      backend ??= options.openBackend(network);
      const acquired = await acquireLease(store, { attributes: backend.attributes, previous, signal });
      onEvent?.({ type: "acquired", lease: acquired.lease });
      if (held === undefined || !sameSubnet(held.subnet, acquired.lease.subnet)) {
        if (held !== undefined) {
          await backend.close();
          backend = options.openBackend(acquired.network);
          onEvent?.({
            type: "subnetChanged",
            before: formatSubnet(held.subnet),
            after: formatSubnet(acquired.lease.subnet),
          });
        }
        await backend.join(acquired, { signal });
        writeSubnetFile(
          options.subnetFile,
          formatSubnetEnv({
            config: acquired.network,
            subnet: acquired.lease.subnet,
            mtu: backend.mtu,
            ipMasq: options.ipMasq ?? false,
          }),
        );
      }
      held = acquired.lease;
      previous = held.subnet;
      onState?.({ lease: held, backend });
      onEvent?.({ type: "joined", mtu: backend.mtu });
      held = await holdLease(options, backend, held);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await backend?.close();
    if (held !== undefined && options.releaseOnExit === true) await releaseLease(store, held);
  }
}

/** Keeps the lease and follows the others, until the lease is lost or the node stops; gives the lease as it was last. */
async function holdLease(options: NodeOptions, backend: Backend, lease: Lease): Promise<Lease> {
  const { store, onEvent } = options;
  const lost = new AbortController();
  const signal = AbortSignal.any([options.signal, lost.signal]);
  let held = lease;

  async function keep(): Promise<void> {
    for await (const event of keepLease(store, lease, { signal })) {
      switch (event.type) {
        case "renewed":
          held = event.lease;
          onEvent?.({ type: "renewed", lease: held });
          break;
        case "retrying":
          onEvent?.({ type: "retrying", error: event.error });
          break;
        case "expired":
          onEvent?.({ type: "unconfirmed" });
          break;
        case "lost":
        case "conflict":
          onEvent?.({ type: "lost", reason: event.error.message });
          lost.abort();
          return;
      }
    }
  }

  async function follow(): Promise<void> {
    for await (const { peers, changes } of followLeases(store, { own: lease, signal })) {
      await backend.apply(peers, { signal });
      onEvent?.({ type: "peers", count: peers.length, changes: changes.map(describeChange) });
    }
  }

  await Promise.all(
    [keep(), follow()].map((task) =>
      task.catch((error: unknown) => {
        if (signal.aborted) return;
        lost.abort();
        throw error;
      }),
    ),
  );
  return held;
}

function describeChange(change: LeaseChange): string {
  const { subnet, attributes } = change.lease;
  const where = `${formatSubnet(subnet)} at ${attributes.publicIP ?? attributes.publicIPv6 ?? "no address"}`;
  if (change.type === "added") return `peer ${where} joined`;
  if (change.type === "removed") return `peer ${where} left`;
  return `peer ${where} changed what it publishes`;
}

/** The subnet that this host had before, from the file that it wrote then. */
function previousSubnet(file: string): Subnet | undefined {
  const text = readSubnetFile(file);
  return text === undefined ? undefined : parseSubnetEnv(text).subnet;
}
