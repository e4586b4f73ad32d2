import {
  createSubnetAllocator,
  findAssignment,
  formatSubnet,
  isUsable,
  type NetworkConfig,
  sameSubnet,
  type Subnet,
  subnetsOverlap,
} from "@loden/subnet";
import { createBackoff } from "./backoff.ts";
import { type Clock, systemClock } from "./clock.ts";
import { publishDiagnostic } from "./diagnostics.ts";
import { type Lease, type LeaseAttributes, sameOwner } from "./lease.ts";
import { LeaseConflictError, LeaseExistsError, LeaseLostError } from "./lease-errors.ts";
import type { LeaseStore } from "./lease-store.ts";

/** How long a lease lasts without renewal, as in flannel: 24 hours, in milliseconds. */
export const defaultTtlMs: number = 24 * 60 * 60_000;

/** Options of `acquireLease`. */
export interface AcquireLeaseOptions {
  /** What to publish; the public address also says which lease is ours already. */
  readonly attributes: LeaseAttributes;
  /** This host's name, by which the config may assign it a subnet; its public addresses come first. */
  readonly hostName?: string | undefined;
  /** The subnet that this host had before, from its `subnet.env`: taken again when it is free and still fits. */
  readonly previous?: Subnet | undefined;
  /** How long the lease lasts without renewal, in milliseconds; 24 hours by default. */
  readonly ttlMs?: number | undefined;
  /** How to choose among the free subnets; at random by default, so that hosts rarely choose the same. */
  readonly strategy?: "random" | "sequential" | undefined;
  /** Where randomness comes from: numbers from 0 up to but not 1. `Math.random` by default. */
  readonly random?: (() => number) | undefined;
  /** Where time comes from; the machine's clock by default. */
  readonly clock?: Clock | undefined;
  /** Gives up; the call then rejects with `signal.reason`. A lease may have been claimed nevertheless. */
  readonly signal?: AbortSignal | undefined;
}

/** What `acquireLease` found. */
export interface AcquiredLease {
  /** The lease that is now ours. */
  readonly lease: Lease;
  /**
   * Until when it is surely ours without a renewal: an instant of `clock.elapsed()`, counted from when the store was
   * asked, so that neither a slow answer nor a jump of a wall clock makes it too long. `Infinity` for a reservation.
   * Hand it to `keepLease`.
   */
  readonly validUntil: number;
  /** The network configuration by which it was chosen. */
  readonly network: NetworkConfig;
}

/**
 * Gets a subnet for this host, in flannel's order:
 *
 * 0. the subnet that the config assigns to this host (flannel has no such thing), unless somebody else has it
 * 1. a lease or reservation that carries our public address, if its subnet fits the network as it is configured now;
 *    a lease that does not fit is released, a reservation is left alone
 * 2. the previous subnet, if it fits and nobody has it
 * 3. any free subnet
 *
 * A subnet that is assigned to another host does not fit and is not free.
 *
 * Where another host is faster, it chooses again, first from the list in hand and then from a fresh one, as often as it
 * takes (flannel exits). Safe to call again after any failure: a claim that did happen is found by its public address and taken over.
 *
 * @param store - Where the leases are.
 * @param options - What to publish and how to choose.
 * @returns The lease and the network configuration.
 * @throws {SubnetExhaustedError} `ERR_SUBNET_EXHAUSTED` if no subnet is free. Errors of the store come as they are.
 * @throws {TypeError} If the attributes lack the public address by which the lease would be recognised.
 */
export async function acquireLease(store: LeaseStore, options: AcquireLeaseOptions): Promise<AcquiredLease> {
  const { clock = systemClock(), random = Math.random, signal } = options;
  const backoff = createBackoff({ firstMs: 10, maxMs: 1_000, random });
  const unreadable: Subnet[] = [];
  let known: Known | undefined;
  for (;;) {
    signal?.throwIfAborted();
    known ??= await look(store, options);
    const { network, leases } = known;
    try {
      return { ...(await acquireFrom(store, network, leases, unreadable, options)), network };
    } catch (error) {
      if (!isRaceLost(error)) throw error;
      // An entry that cannot be read is in no list, so it has to be remembered.
      if (error instanceof LeaseExistsError && error.holder === undefined) unreadable.push(error.subnet);
      const delayMs = backoff.next();
      publishDiagnostic({ type: "race-lost", error, attempt: backoff.attempt });
      known = backoff.attempt > 1 ? undefined : learn(known, error, options);
      if (backoff.attempt > 1) await clock.sleep(delayMs, { signal });
    }
  }
}

/** What was read of the store. */
interface Known {
  readonly network: NetworkConfig;
  readonly leases: readonly Lease[];
}

async function look(store: LeaseStore, { attributes, signal }: AcquireLeaseOptions): Promise<Known> {
  const network = await store.getNetwork({ signal });
  checkOwner(network, attributes);
  const { leases } = await store.list({ signal });
  return { network, leases };
}

/** What a lost race adds to what was known; `undefined` where more has changed than that. */
function learn(
  { network, leases }: Known,
  error: Error,
  { attributes }: AcquireLeaseOptions,
): Known | undefined {
  if (!(error instanceof LeaseExistsError) || error.holder === undefined) return undefined;
  if (sameOwner(error.holder.attributes, attributes)) return undefined;
  // Leases of ours that do not fit were released.
  const left = leases.filter(
    (lease) => lease.expiresAt === undefined || !sameOwner(lease.attributes, attributes),
  );
  return { network, leases: [...left, error.holder] };
}

function checkOwner(network: NetworkConfig, attributes: LeaseAttributes): void {
  const member = network.enableIPv4 ? "publicIP" : "publicIPv6";
  if (attributes[member] === undefined || attributes[member].isUnspecified) {
    throw new TypeError(
      `Cannot acquire lease: the attributes have no ${member}, expected the address that peers reach this host by`,
    );
  }
}

async function acquireFrom(
  store: LeaseStore,
  network: NetworkConfig,
  leases: readonly Lease[],
  unreadable: readonly Subnet[],
  options: AcquireLeaseOptions,
): Promise<Omit<AcquiredLease, "network">> {
  const { attributes, ttlMs = defaultTtlMs, previous, signal, clock = systemClock() } = options;
  const confirm = async (ask: () => Promise<Lease>): Promise<Omit<AcquiredLease, "network">> => {
    const askedAt = clock.elapsed();
    const lease = await ask();
    return { lease, validUntil: lease.expiresAt === undefined ? Infinity : askedAt + ttlMs };
  };
  const own = leases.filter((lease) => sameOwner(lease.attributes, attributes));
  const others = leases.filter((lease) => !own.includes(lease)).map((lease) => lease.subnet);
  const assigned = findFreeAssignment(network, [...others, ...unreadable], options);
  const [best] = own
    .filter((lease) => fits(network, lease.subnet, assigned))
    .toSorted((a, b) => preference(b, previous) - preference(a, previous));
  if (best !== undefined) return confirm(() => store.renew(best, { ttlMs, attributes, signal }));
  const outgrown = new Set(own.filter((lease) => lease.expiresAt !== undefined));
  for (const lease of outgrown) await store.release(lease, { signal });
  const taken = leases.filter((lease) => !outgrown.has(lease)).map((lease) => lease.subnet);
  const subnet = assigned ?? chooseSubnet(network, [...taken, ...unreadable], options);
  return confirm(() => store.claim(subnet, attributes, { ttlMs, signal }));
}

/** The subnet that is ours by the config, unless somebody else has it, perhaps since before it was assigned. */
function findFreeAssignment(
  network: NetworkConfig,
  taken: readonly Subnet[],
  { attributes: { publicIP, publicIPv6 }, hostName }: AcquireLeaseOptions,
): Subnet | undefined {
  const names = [publicIP?.toString(), publicIPv6?.toString(), hostName];
  const assigned = findAssignment(
    network,
    names.filter((name) => name !== undefined),
  );
  const rival = assigned && taken.find((subnet) => subnetsOverlap(subnet, assigned));
  if (assigned === undefined || rival === undefined) return assigned;
  publishDiagnostic({ type: "assignment-taken", subnet: formatSubnet(assigned), by: formatSubnet(rival) });
  return undefined;
}

function fits(network: NetworkConfig, subnet: Subnet, assigned: Subnet | undefined): boolean {
  if (assigned !== undefined) return sameSubnet(subnet, assigned);
  return isUsable(network, subnet) && !assignmentsOf(network).some((other) => subnetsOverlap(other, subnet));
}

function assignmentsOf({ assignments }: NetworkConfig): Subnet[] {
  return [...(assignments?.values() ?? [])];
}

function preference(lease: Lease, previous: Subnet | undefined): number {
  if (lease.expiresAt === undefined) return 2;
  return previous !== undefined && sameSubnet(lease.subnet, previous) ? 1 : 0;
}

function chooseSubnet(
  network: NetworkConfig,
  taken: readonly Subnet[],
  options: AcquireLeaseOptions,
): Subnet {
  const { previous, strategy = "random", random = Math.random } = options;
  const allocator = createSubnetAllocator(network, { strategy, random });
  for (const subnet of [...taken, ...assignmentsOf(network)]) allocator.reserve(subnet);
  const canReturn = previous !== undefined && isUsable(network, previous);
  return allocator.allocate(canReturn ? { preferred: previous } : {});
}

function isRaceLost(error: unknown): error is LeaseExistsError | LeaseConflictError | LeaseLostError {
  return (
    error instanceof LeaseExistsError ||
    error instanceof LeaseConflictError ||
    error instanceof LeaseLostError
  );
}
