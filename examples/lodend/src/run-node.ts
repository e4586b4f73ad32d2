import { setTimeout as sleep } from "node:timers/promises";
import type { Backend, Underlay } from "@loden/backend";
import { acquireLease, type AcquiredLease, type Lease, type LeaseStore, releaseLease } from "@loden/lease";
import {
  formatSubnet,
  formatSubnetEnv,
  type NetworkConfig,
  parseSubnetEnv,
  sameSubnet,
  type Subnet,
} from "@loden/subnet";
import { ExitCode } from "./exit/exit-codes.ts";
import { LodendError } from "./exit/lodend-error.ts";
import { holdLease, type HoldOutcome } from "./hold-lease.ts";
import type { NodeEvent } from "./node-event.ts";
import type { UnderlayChange } from "./underlay/watch-underlay.ts";
import { readSubnetFile, writeSubnetFile } from "./write-subnet-file.ts";

/** What {@link runNode} wires together. */
export interface NodeOptions {
  /** Where leases are kept. */
  readonly store: LeaseStore;
  /** Opens the backend; called again when the node has to change its subnet. */
  readonly openBackend: (network: NetworkConfig) => Backend | Promise<Backend>;
  /** This host's name, by which the network's configuration may assign it a subnet. */
  readonly hostName?: string | undefined;
  /** Where `subnet.env` is written. */
  readonly subnetFile: string;
  /** Whether `subnet.env` says that the node masquerades. Default false. */
  readonly ipMasq?: boolean | undefined;
  /** How long the lease lasts without renewal, in milliseconds. Default 24 hours. */
  readonly ttlMs?: number | undefined;
  /** How long before expiry it is renewed, in milliseconds. Default 60 minutes, or a third of `ttlMs` if less. */
  readonly marginMs?: number | undefined;
  /** Give the lease back when the node stops. Default false, as flannel: a host that returns keeps its subnet. */
  readonly releaseOnExit?: boolean | undefined;
  /** Stop packets while the lease is unconfirmed or lost. Default false: they go on until another owner shows. */
  readonly fence?: boolean | undefined;
  /** What to do when another subnet had to be taken, once `subnet.env` says so. Default `continue`. */
  readonly onSubnetChange?: "continue" | "exit" | undefined;
  /** Settles when somebody deleted the node's device, or the signal aborts; the node then joins again. By default nobody looks. */
  readonly whenDeviceLost?: ((signal: AbortSignal) => Promise<void>) | undefined;
  /** Changes of the interface between hosts, for the backend to follow; asked for again when it is opened anew. By default nobody looks. */
  readonly underlayChanges?: ((signal: AbortSignal) => AsyncIterable<UnderlayChange>) | undefined;
  /** Lets the peers know where this host is, once the backend works over a changed interface. By default they find out by themselves. */
  readonly greetPeers?: ((underlay: Underlay) => Promise<void>) | undefined;
  /** Told what happens. */
  readonly onEvent?: ((event: NodeEvent) => void) | undefined;
  /** Stops the node; `runNode` then resolves. */
  readonly signal: AbortSignal;
}

/** A node while it runs: what it holds now. */
export interface NodeState {
  /** As last renewed. */
  readonly lease: Lease;
  /** The network by which it was acquired. */
  readonly network: NetworkConfig;
  readonly backend: Backend;
}

/** How long giving the lease back may take when the node stops. */
const RELEASE_MS = 3_000;
/** The longest pause between attempts to acquire a lease after a loss. */
const SLOWEST_RETRY_MS = 30_000;

/**
 * Runs one host of an overlay until it is told to stop.
 *
 *     store -> acquire a lease -> peers so far -> join the overlay -> subnet.env
 *                  |                                     |
 *          keep and publish it  follow the others -> backend.apply(peers)
 *                               follow the underlay -> backend.setUnderlay(underlay)
 *
 * A lease that is lost is acquired again, the same subnet first; with another subnet the backend is opened anew and `subnet.env` rewritten. With the
 * device lost, the backend alone is opened anew. When the underlay changes, the backend follows it, and the lease and `subnet.env` follow the backend.
 *
 * @param options store, backend and file.
 * @param onState told of what the node holds, whenever that changes.
 * @throws whatever acquiring the first lease or joining throws; never for an outage of the store later on.
 * @throws {LodendError} with the subnetChanged code, when that is what `onSubnetChange` asks for.
 */
export async function runNode(options: NodeOptions, onState?: (state: NodeState) => void): Promise<void> {
  const { store, signal, onEvent } = options;
  let previous = previousSubnet(options.subnetFile);
  let backend: Backend | undefined;
  let joined: AcquiredLease | undefined;
  let held: Lease | undefined;
  /** As `subnet.env` has it. */
  let mtu = 0;
  try {
    backend = await options.openBackend(await store.getNetwork({ signal }));
    while (!signal.aborted) {
      const { ttlMs, hostName } = options;
      const wanted = { attributes: backend.attributes, hostName, previous, ttlMs, signal };
      const acquired: AcquiredLease =
        joined === undefined ? await acquireLease(store, wanted) : await acquireAgain(options, wanted);
      held = acquired.lease;
      onEvent?.({ type: "acquired", lease: held });
      if (joined === undefined || !sameSubnet(joined.lease.subnet, held.subnet)) {
        if (joined !== undefined) {
          await backend.close();
          backend = await options.openBackend(acquired.network);
        }
        await join(options, backend, acquired, joined);
        joined = acquired;
        ({ mtu } = backend);
      }
      previous = held.subnet;
      const { network } = joined;
      let validUntil: number | undefined = acquired.validUntil;
      for (let outcome: HoldOutcome | undefined; outcome !== "lost";) {
        if (outcome === "deviceLost") {
          await backend.close();
          backend = await options.openBackend(network);
          await backend.join({ lease: held, network }, { signal });
        }
        const current: Backend = backend;
        const { subnet } = held;
        const tell = (lease: Lease): void => {
          held = lease;
          onState?.({ lease, network, backend: current });
        };
        tell(held);
        onEvent?.({ type: "joined", mtu: current.mtu });
        const listener = {
          onRenewed(lease: Lease): void {
            // What acquiring said holds until the first renewal.
            validUntil = undefined;
            tell(lease);
          },
          onMtu(): void {
            if (mtu === current.mtu) return;
            writeEnv(options, network, subnet, current);
            onEvent?.({ type: "mtuChanged", before: mtu, mtu: current.mtu });
            ({ mtu } = current);
          },
        };
        outcome = await holdLease(options, current, { lease: held, validUntil }, listener);
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    // What the kernel carries goes on until the next run takes it over, unless the subnet is given back.
    await backend?.close({ keep: options.releaseOnExit !== true });
    if (held !== undefined && options.releaseOnExit === true) await giveBack(options, held);
  }
}

/** Acquires a lease however long that takes: a node that runs outlives every outage. */
async function acquireAgain(
  { store, onEvent }: NodeOptions,
  wanted: Parameters<typeof acquireLease>[1] & { readonly signal: AbortSignal },
): Promise<AcquiredLease> {
  for (let delayMs = 500; ; delayMs = Math.min(2 * delayMs, SLOWEST_RETRY_MS)) {
    try {
      return await acquireLease(store, wanted);
    } catch (error) {
      if (wanted.signal.aborted) throw error;
      onEvent?.({ type: "retrying", doing: "acquiring", error });
    }
    await sleep(delayMs * (1 - Math.random() / 2), undefined, { signal: wanted.signal });
  }
}

async function join(
  options: NodeOptions,
  backend: Backend,
  acquired: AcquiredLease,
  before: AcquiredLease | undefined,
): Promise<void> {
  const { subnet } = acquired.lease;
  const { subnetFile, signal } = options;
  const isExiting = before !== undefined && options.onSubnetChange === "exit";
  if (!isExiting) {
    // The peers come first: what an earlier run left for them in the kernel is taken over, rather than removed and made again.
    const { leases } = await options.store.list({ signal });
    await backend.apply(
      leases.filter((lease) => !sameSubnet(lease.subnet, subnet)),
      { signal },
    );
    await backend.join(acquired, { signal });
  }
  writeEnv(options, acquired.network, subnet, backend);
  if (before === undefined) return;
  const change = { before: formatSubnet(before.lease.subnet), after: formatSubnet(subnet) };
  options.onEvent?.({ type: "subnetChanged", ...change });
  if (isExiting) {
    throw new LodendError(
      ExitCode.subnetChanged,
      `Cannot go on: this host has ${change.after} now, expected ${change.before}; restart what reads ${subnetFile}, then lodend`,
    );
  }
}

function writeEnv(
  { subnetFile, ipMasq = false }: NodeOptions,
  config: NetworkConfig,
  subnet: Subnet,
  { mtu }: Backend,
): void {
  writeSubnetFile(subnetFile, formatSubnetEnv({ config, subnet, mtu, ipMasq }));
}

/** Releases the lease; a store that does not answer, or another owner, is no reason to stay. */
async function giveBack({ store, onEvent }: NodeOptions, held: Lease): Promise<void> {
  try {
    await releaseLease(store, held, { signal: AbortSignal.timeout(RELEASE_MS) });
  } catch (error) {
    onEvent?.({ type: "releaseFailed", error });
  }
}

/** The subnet that this host had before, from the file that it wrote then. */
function previousSubnet(file: string): Subnet | undefined {
  const text = readSubnetFile(file);
  return text === undefined ? undefined : parseSubnetEnv(text).subnet;
}
