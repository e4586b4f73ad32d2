import { formatSubnet, type Subnet } from "@loden/subnet";
import { takeReady } from "./take-ready.ts";
import { type Clock, systemClock } from "./clock.ts";
import { type Lease, sameAttributes } from "./lease.ts";
import type { LeaseEvent, LeaseStore } from "./lease-store.ts";
import { watchSteadily } from "./watch-steadily.ts";

/** Options of `followLeases`. */
export interface FollowLeasesOptions {
  /** Our own lease or subnet: it is no peer, so it is never told of. */
  readonly own?: Lease | Subnet | undefined;
  /** Where time comes from; the machine's clock by default. */
  readonly clock?: Clock | undefined;
  /** Where randomness comes from (jitter). `Math.random` by default. */
  readonly random?: (() => number) | undefined;
  /** Ends following; the iteration then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
}

/** What happened to one peer since the last update. */
export type LeaseChange =
  | { readonly type: "added"; readonly lease: Lease }
  | { readonly type: "changed"; readonly lease: Lease; readonly previous: Lease }
  | { readonly type: "removed"; readonly lease: Lease };

/** What `followLeases` tells: the whole, and how it came about. */
export interface PeerUpdate {
  /** Every peer, in the order in which their subnets were first seen. */
  readonly peers: readonly Lease[];
  /** What differs from the last update. Empty only in the first one, when there are no peers. */
  readonly changes: readonly LeaseChange[];
}

/**
 * Turns the store's snapshots and events into the set of peers. The first update comes as soon as the store has
 * answered; later ones when a peer comes, goes or publishes something else. A renewal alone is no change.
 *
 * An outage changes nothing: the peers stay as they are, and what was missed shows when the store is back, because
 * every snapshot is compared with what is known, attributes included (flannel compares the subnets alone, and its second
 * snapshot withdraws the own lease). Events that are ready together make one update, and nothing is read ahead: a
 * consumer may take its time.
 *
 * @param store - Where the leases are.
 * @param options - Which lease is our own.
 * @returns The updates; ends when the store closes or on `break`.
 */
export async function* followLeases(
  store: LeaseStore,
  options: FollowLeasesOptions = {},
): AsyncGenerator<PeerUpdate, void, undefined> {
  const { own, clock = systemClock(), random = Math.random } = options;
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
  const ownKey = own === undefined ? undefined : formatSubnet("subnet" in own ? own.subnet : own);
  const peers = new Map<string, Lease>();
  let isFirst = true;
  try {
    for await (const events of takeReady(watchSteadily(store, { clock, random, signal }))) {
      const changes = applyEvents(peers, events, ownKey);
      if (!isFirst && changes.length === 0) continue;
      isFirst = false;
      yield { peers: [...peers.values()], changes };
    }
  } finally {
    stop.abort();
  }
}

function applyEvents(
  peers: Map<string, Lease>,
  events: readonly LeaseEvent[],
  ownKey: string | undefined,
): LeaseChange[] {
  const before = new Map<string, Lease | undefined>();
  const set = (key: string, lease: Lease | undefined): void => {
    if (key === ownKey) return;
    if (!before.has(key)) before.set(key, peers.get(key));
    if (lease === undefined) peers.delete(key);
    else peers.set(key, lease);
  };
  for (const event of events) {
    if (event.type === "removed") set(formatSubnet(event.subnet), undefined);
    else if (event.type === "snapshot") applySnapshot(peers, event.leases, set);
    else set(formatSubnet(event.lease.subnet), event.lease);
  }
  return [...before].flatMap(([key, previous]) => describeChange(previous, peers.get(key)));
}

function applySnapshot(
  peers: ReadonlyMap<string, Lease>,
  leases: readonly Lease[],
  set: (key: string, lease: Lease | undefined) => void,
): void {
  const current = new Map(leases.map((lease) => [formatSubnet(lease.subnet), lease]));
  for (const key of peers.keys()) if (!current.has(key)) set(key, undefined);
  for (const [key, lease] of current) set(key, lease);
}

function describeChange(previous: Lease | undefined, lease: Lease | undefined): LeaseChange[] {
  if (lease === undefined) return previous === undefined ? [] : [{ type: "removed", lease: previous }];
  if (previous === undefined) return [{ type: "added", lease }];
  return sameAttributes(previous.attributes, lease.attributes) ? [] : [{ type: "changed", lease, previous }];
}
