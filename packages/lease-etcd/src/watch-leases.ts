import {
  type Lease,
  type LeaseEvent,
  parseSubnetKey,
  publishDiagnostic,
  type WatchOptions,
} from "@loden/lease";
import { setTimeout as sleep } from "node:timers/promises";
import { EtcdStatusError, GrpcStatus, isTransient, StoreUnavailableError } from "./etcd-errors.ts";
import { textOf } from "./etcd-grants.ts";
import type {
  EtcdEntry,
  EtcdWatchStream,
  KeyRange,
  TransportCallOptions,
  WatchAnswer,
} from "./transport/etcd-transport.ts";
import { leaseKey } from "./lease-layout.ts";
import { listEntries } from "./list-entries.ts";
import type { StoreContext } from "./store-context.ts";

/** How a silent watch is told from a dead one, and when another one follows. Milliseconds. */
export interface WatchPatience {
  /** After so long without a message the member is asked for one. */
  readonly idleMs: number;
  /** So long it may take to answer. */
  readonly answerMs: number;
  /** Where jitter comes from. */
  readonly random: () => number;
}

/**
 * Watches leases through the failures of single members. It goes on from the revision of the last event, and where etcd
 * has forgotten what came after, it lists again and tells a snapshot. Other messages prove that a member lives and
 * nothing more: their revision is not in order with the events.
 *
 * @param context - the store
 * @param options - where to start and what to watch
 * @param patience - how a dead watch is noticed
 * @returns the events; rejects with StoreUnavailableError when streams break off again and again
 */
export async function* watchLeases(
  context: StoreContext,
  options: WatchOptions,
  patience: WatchPatience,
): AsyncGenerator<LeaseEvent, void, undefined> {
  const { since, subnet, signal } = options;
  const call: TransportCallOptions = { operation: "watch leases", signal };
  const { leases } = context.layout;
  const range: KeyRange = subnet === undefined ? leases : { key: leaseKey(context.layout, subnet) };
  const cursor: Cursor = {
    told: since === undefined ? undefined : parseRevision(since),
    clusterId: undefined,
  };
  let failures = 0;
  for (;;) {
    if (cursor.told === undefined) {
      const { entries, revision } = await listEntries(context.transport, range, call);
      cursor.told = BigInt(revision);
      yield { type: "snapshot", leases: readLeases(context, entries), revision };
      signal?.throwIfAborted();
    }
    const startRevision = `${cursor.told + 1n}`;
    const stream = await context.transport.watchStream({ ...range, startRevision }, call);
    try {
      if (await isOtherHistory(context, stream.created, cursor, call)) continue;
      for (;;) {
        const answer = await readAnswer(stream, patience);
        failures = 0;
        if (answer.compactRevision !== "0") {
          cursor.told = undefined;
          break;
        }
        if (answer.canceled) throw new EtcdStatusError(GrpcStatus.unavailable, answer.cancelReason);
        for (const [index, { type, entry }] of answer.events.entries()) {
          const event = readEvent(context, type, entry, resumeRevision(answer, index));
          if (event === undefined) continue;
          yield event;
          signal?.throwIfAborted();
        }
        const last = answer.events.at(-1);
        if (last !== undefined) cursor.told = BigInt(last.entry.modRevision);
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof EtcdStatusError && isTransient(error))) throw error;
      stream.abandon();
      failures += 1;
      if (failures > 3) throw new StoreUnavailableError("watch leases", new Map([[stream.endpoint, error]]));
      // Hosts that lost one member together do not come to the next one together.
      const delayMs = 100 * 2 ** failures * patience.random();
      publishDiagnostic({ type: "watch-retrying", error, attempt: failures, delayMs });
      await sleep(delayMs, undefined, { signal });
    } finally {
      stream.cancel();
    }
  }
}

/** Where a watch has got to. */
interface Cursor {
  /** All events up to this revision have been told; `undefined` when a snapshot is due. */
  told: bigint | undefined;
  /** The cluster whose revisions these are. */
  clusterId: string | undefined;
}

function parseRevision(text: string): bigint {
  if (!/^\d{1,19}$/.test(text)) {
    throw new RangeError(`Cannot watch leases: since is "${text}", expected a revision from this store`);
  }
  return BigInt(text);
}

function readLeases({ grants }: StoreContext, entries: readonly EtcdEntry[]): Lease[] {
  return entries.flatMap((entry) => grants.readLease(entry) ?? []);
}

/**
 * Whether etcd was replaced or restored from a backup, so that its revisions are not those that were told; then a
 * snapshot is due. A member that merely lags behind says an old revision too, so the cluster is asked.
 */
async function isOtherHistory(
  { layout, transport }: StoreContext,
  created: WatchAnswer,
  cursor: Cursor,
  call: TransportCallOptions,
): Promise<boolean> {
  const told = cursor.told ?? 0n;
  const isOtherCluster = cursor.clusterId !== undefined && cursor.clusterId !== created.clusterId;
  cursor.clusterId = created.clusterId;
  const isOlder =
    BigInt(created.revision) < told &&
    BigInt((await transport.range({ ...layout.leases, limit: 1 }, call)).revision) < told;
  if (isOtherCluster || isOlder) cursor.told = undefined;
  return cursor.told === undefined;
}

async function readAnswer(
  stream: EtcdWatchStream,
  { idleMs, answerMs }: WatchPatience,
): Promise<WatchAnswer> {
  let isDead = false;
  let timer = setTimeout(() => {
    stream.requestProgress();
    timer = setTimeout(() => {
      isDead = true;
      stream.cancel();
    }, answerMs);
  }, idleMs);
  try {
    return await stream.next();
  } catch (error) {
    if (!isDead) throw error;
    throw new EtcdStatusError(GrpcStatus.deadlineExceeded, `no sign of life within ${idleMs + answerMs} ms`);
  } finally {
    clearTimeout(timer);
  }
}

function readEvent(
  { grants }: StoreContext,
  type: "put" | "delete",
  entry: EtcdEntry,
  revision: string,
): LeaseEvent | undefined {
  const lease = type === "put" ? grants.readLease(entry) : undefined;
  if (lease !== undefined) return { type: entry.version === "1" ? "added" : "updated", lease, revision };
  // A value that can't be read is no lease, here as in a list: whoever was known under that key is gone.
  const subnet = parseSubnetKey(textOf(entry.key));
  return subnet === undefined ? undefined : { type: "removed", subnet, revision };
}

/** Where to go on after one event: several may have one revision, and then all but the last ask for it again. */
function resumeRevision({ events }: WatchAnswer, index: number): string {
  const own = events[index]?.entry.modRevision ?? "0";
  return events[index + 1]?.entry.modRevision === own ? `${BigInt(own) - 1n}` : own;
}
