import {
  type ClaimOptions,
  formatLeaseValue,
  type Lease,
  type LeaseAttributes,
  LeaseExistsError,
  parseLeaseValue,
  parseSubnetKey,
} from "@loden/lease";
import { formatSubnet, type Subnet, subnetsOverlap } from "@loden/subnet";
import { type EtcdGrant, isWrittenBy, textOf } from "./etcd-grants.ts";
import type { EtcdEntry, KeyRange, Operation, TransportCallOptions } from "./transport/etcd-transport.ts";
import { leaseKey } from "./lease-layout.ts";
import { listEntries } from "./list-entries.ts";
import { overlapGuards } from "./overlap-guards.ts";
import type { StoreContext } from "./store-context.ts";

/**
 * Creates a lease: two calls, a grant and a transaction that finds out whether any part of the subnet is taken.
 *
 * Where keys cannot tell (a subnet with IPv6, or of a length that takes too many conditions), the leases are listed before
 * and those that were created meanwhile afterwards: of two overlapping claims the later one is undone.
 *
 * @param context - the store
 * @param subnet - what to claim
 * @param attributes - what to publish
 * @param options - time to live and signal
 * @returns the lease
 * @throws {LeaseExistsError} `ERR_LEASE_EXISTS` when any part of the subnet is taken
 */
export async function claimLease(
  context: StoreContext,
  subnet: Subnet,
  attributes: LeaseAttributes,
  { ttlMs, signal }: ClaimOptions,
): Promise<Lease> {
  const { grants, layout, transport } = context;
  const key = leaseKey(layout, subnet);
  const value = formatLeaseValue(attributes);
  const call: TransportCallOptions = { operation: `claim subnet ${formatSubnet(subnet)}`, signal };
  // A key always has an IPv4 part, or `leaseKey` would have thrown.
  const { ipv4 = never(), ipv6 } = subnet;
  const guards = overlapGuards(layout.leasePrefix, { ipv4, ipv6 });
  await grants.settleDoubts(call);
  const listed = guards.areComplete ? undefined : await listEntries(transport, layout.leases, call);
  const taken = listed?.entries.find((entry) => overlaps(subnet, entry));
  if (taken !== undefined) throw new LeaseExistsError(subnet, grants.readLease(taken));

  const grant = await grants.grant(ttlMs, call);
  const revision = await createKey(context, subnet, { key, value, grant, guards: guards.ranges }, call);
  if (listed !== undefined) await yieldToEarlier(context, subnet, { key, grant, revision, listed }, call);
  return { subnet, attributes: parseLeaseValue(value), expiresAt: grant.expiresAt, revision };
}

/** Writes the key if nothing is in its way, and returns the revision of that write. */
async function createKey(
  { grants, transport }: StoreContext,
  subnet: Subnet,
  what: {
    key: Uint8Array;
    value: string;
    grant: EtcdGrant;
    guards: readonly KeyRange[];
  },
  call: TransportCallOptions,
): Promise<string> {
  const { key, value, grant, guards } = what;
  const empty = [{ key }, ...guards];
  const answer = await giveUpInDoubt(grants, grant, () =>
    transport.txn(
      {
        compare: empty.map((range) => ({ ...range, target: "create", revision: "0" })),
        success: [{ type: "put", key, value: Buffer.from(value), lease: grant.id }],
        failure: empty.map((range): Operation => ({ ...range, type: "range", limit: 1 })),
      },
      call,
    ),
  );
  if (answer.succeeded) return answer.revision;
  // The answer to an earlier attempt was lost: the key is there as we wrote it, attached to our grant.
  const ours = answer.entries.find((entry) => isWrittenBy(grant, value, entry));
  if (ours !== undefined) return ours.modRevision;
  grants.drop(grant.id);
  const [holder] = answer.entries;
  throw new LeaseExistsError(subnet, holder === undefined ? undefined : grants.readLease(holder));
}

/** Undoes the claim if an overlapping one was made between the list and it. */
async function yieldToEarlier(
  { grants, layout, transport }: StoreContext,
  subnet: Subnet,
  claimed: { key: Uint8Array; grant: EtcdGrant; revision: string; listed: { revision: string } },
  call: TransportCallOptions,
): Promise<void> {
  const { key, grant, revision, listed } = claimed;
  const minCreateRevision = `${BigInt(listed.revision) + 1n}`;
  await giveUpInDoubt(grants, grant, async () => {
    const { entries } = await transport.range({ ...layout.leases, minCreateRevision }, call);
    const earlier = entries.find(
      (entry) => BigInt(entry.createRevision) < BigInt(revision) && overlaps(subnet, entry),
    );
    if (earlier === undefined) return;
    const holder = grants.readLease(earlier);
    await transport.txn(
      {
        compare: [{ target: "mod", key, revision }],
        success: [{ type: "delete", key }],
        failure: [],
      },
      call,
    );
    grants.drop(grant.id);
    throw new LeaseExistsError(subnet, holder);
  });
}

/** Whatever happens to a claim that fails here, it must not come true after the caller has claimed something else. */
async function giveUpInDoubt<Result>(
  grants: StoreContext["grants"],
  grant: EtcdGrant,
  run: () => Promise<Result>,
): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof LeaseExistsError)) grants.doubt(grant.id);
    throw error;
  }
}

function overlaps(subnet: Subnet, entry: EtcdEntry): boolean {
  const other = parseSubnetKey(textOf(entry.key));
  return other !== undefined && subnetsOverlap(subnet, other);
}

function never(): never {
  throw new TypeError("Cannot claim subnet: it has no IPv4 part, expected one");
}
