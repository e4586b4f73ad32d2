import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { formatSubnet, sameSubnet, type Subnet } from "@loden/subnet";
import { acquireLease } from "../acquire-lease.ts";
import { systemClock } from "../clock.ts";
import { type LeaseDiagnostic, leaseChannelName } from "../diagnostics.ts";
import { type KeepEvent, keepLease } from "../keep-lease.ts";
import type { LeaseStore } from "../lease-store.ts";
import { type BreakableStore, breakable } from "./breakable-store.ts";
import {
  attributesOf,
  type ConformanceCase,
  type ConformanceContext,
  subnetAt,
  withStores,
} from "./context.ts";
import { FollowedPeers } from "./followed-peers.ts";
import { describeLease, withWatch } from "./watched-leases.ts";

// Nothing of this expires while it is looked at.
const ttlMs = 10 * 60_000;

/** The engine over the store, in each situation where a flannel host loses something. Named after what it loses there. */
export const defectCases: readonly ConformanceCase[] = [
  {
    title: "poison pill: followLeases() keeps every peer when keys and values appear that cannot be read",
    requires: ["flannelText"],
    run: (context) =>
      withFollower(context, {}, async ({ other, peers }) => {
        await other.claim(subnetAt(1), attributesOf(1), { ttlMs });
        await peers.until([1]);
        for (const [key, value] of poison) await context.putText(key, value);
        await other.claim(subnetAt(2), attributesOf(2), { ttlMs });
        await peers.until([1, 2]);
        assert.deepEqual(peers.removed, []);
      }),
  },
  {
    title: "second reset: followLeases() never reports the own lease, however often it starts anew",
    requires: [],
    run: (context) =>
      withFollower(context, { own: subnetAt(1) }, async ({ other, peers, connection }) => {
        await other.claim(subnetAt(1), attributesOf(1), { ttlMs });
        await other.claim(subnetAt(2), attributesOf(2), { ttlMs });
        await peers.until([2]);
        for (const n of [3, 4]) {
          await duringOutage(connection, () => other.claim(subnetAt(n), attributesOf(n), { ttlMs }));
          await peers.until(n === 3 ? [2, 3] : [2, 3, 4]);
        }
        assert.deepEqual([peers.removed, peers.seen.has(formatSubnet(subnetAt(1)))], [[], false]);
      }),
  },
  {
    title: "attribute change across a reset: followLeases() tells what a peer published meanwhile",
    requires: [],
    run: (context) =>
      withFollower(context, {}, async ({ other, peers, connection }) => {
        await other.claim(subnetAt(1), attributesOf(1), { ttlMs });
        await peers.until([1]);
        await duringOutage(connection, () => context.put(subnetAt(1), attributesOf(9), ttlMs));
        const { changes } = await peers.until([1], 9);
        assert.deepEqual(
          changes.map(({ type }) => type),
          ["changed"],
        );
      }),
  },
  {
    title: "initial list failure: followLeases() and keepLease() begin when the store answers at last",
    requires: [],
    run: (context) =>
      withStores(context, async (behind, other) => {
        const lease = await other.claim(subnetAt(1), attributesOf(1), { ttlMs });
        const connection = breakable(behind);
        connection.cut();
        const peers = new FollowedPeers(connection.store, {});
        // Due for renewal at once.
        const validUntil = systemClock().elapsed() + ttlMs;
        const kept = keepLease(connection.store, lease, { ttlMs, marginMs: ttlMs - 1, validUntil });
        const failed = connection.failure();
        const following = peers.until([1]);
        const renewing = untilEvent(kept, "renewed");
        await failed;
        connection.restore();
        await following;
        assert.notEqual((await renewing).lease.revision, lease.revision);
        await Promise.all([peers.stop(), kept.return()]);
      }),
  },
  {
    title: "create race: acquireLease() takes another subnet whenever another host was faster",
    requires: [],
    run: (context) =>
      withStores(context, async (store, other) => {
        // All want the first free subnet.
        const acquired = await Promise.all(
          [1, 2, 3, 4, 5, 6].map((n) =>
            acquireLease(n % 2 === 0 ? store : other, {
              attributes: attributesOf(n),
              strategy: "sequential",
              ttlMs,
            }),
          ),
        );
        const subnets = acquired.map(({ lease }) => formatSubnet(lease.subnet));
        assert.deepEqual(
          subnets.toSorted(),
          [1, 2, 3, 4, 5, 6].map((n) => formatSubnet(subnetAt(n))),
        );
        assert.equal((await store.list()).leases.length, 6);
      }),
  },
  {
    title: "conflict: keepLease() names both hosts when another overwrote the lease, and leaves it",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        const { lease, validUntil } = await acquireLease(store, { attributes: attributesOf(1), ttlMs });
        const kept = keepLease(store, lease, { ttlMs, validUntil });
        const conflict = untilEvent(kept, "conflict");
        await context.put(lease.subnet, attributesOf(9), ttlMs);
        const event = await conflict;
        assert.match(String("error" in event && event.error), /192\.0\.2\.9.*192\.0\.2\.1\b/s);
        assert.deepEqual((await store.list()).leases.map(describeLease), [
          `${formatSubnet(lease.subnet)} 192.0.2.9`,
        ]);
      }),
  },
  {
    title: "two hosts with one address: the first hears of it from keepLease() when the second has joined",
    requires: [],
    run: (context) =>
      withStores(context, async (store, other) => {
        const attributes = attributesOf(1);
        const { lease, validUntil } = await acquireLease(store, { attributes, ttlMs });
        const stop = new AbortController();
        const kept = keepLease(store, lease, { ttlMs, validUntil, signal: stop.signal });
        const ended = kept.next().catch((error: unknown) => error);
        const told = nextDiagnostic("held-elsewhere");
        const second = await acquireLease(other, { attributes, ttlMs });
        assert.deepEqual(second.lease.subnet, lease.subnet);
        assert.match((await told).reason, /192\.0\.2\.1\b/);
        stop.abort();
        await ended;
      }),
  },
  {
    title: "lost lease: keepLease() tells, and acquireLease() gets the same subnet back",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        const attributes = attributesOf(1);
        const { lease, validUntil } = await acquireLease(store, { attributes, ttlMs });
        const lost = untilEvent(keepLease(store, lease, { ttlMs, validUntil }), "lost");
        await context.remove(lease.subnet);
        await lost;
        const again = await acquireLease(store, { attributes, previous: lease.subnet, ttlMs });
        assert.deepEqual(again.lease.subnet, lease.subnet);
      }),
  },
  {
    title: "reservation: acquireLease() takes its own as it is and nobody else's, and both stay reservations",
    requires: ["reservations"],
    run: (context) =>
      withStores(context, async (store) => {
        await context.put(subnetAt(7), attributesOf(1));
        await context.put(subnetAt(1), attributesOf(2));
        const sequential = { strategy: "sequential", ttlMs } as const;
        const own = await acquireLease(store, { ...sequential, attributes: attributesOf(1) });
        const free = await acquireLease(store, { ...sequential, attributes: attributesOf(3) });
        assert.deepEqual([own.lease.subnet, free.lease.subnet], [subnetAt(7), subnetAt(2)]);
        const { leases } = await store.list();
        const reserved = leases.filter(({ expiresAt }) => expiresAt === undefined).map(describeLease);
        assert.deepEqual(reserved.toSorted(), [
          `${formatSubnet(subnetAt(1))} 192.0.2.2`,
          `${formatSubnet(subnetAt(7))} 192.0.2.1`,
        ]);
      }),
  },
  {
    title: "dual stack with IPv4-only keys: acquireLease() allocates beside them, and gives up its own one",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        const [theirs, ours] = [ipv4Of(subnetAt(1)), ipv4Of(subnetAt(2))];
        await context.put(theirs, attributesOf(9), ttlMs);
        await context.put(ours, attributesOf(1), ttlMs);
        const options = { attributes: attributesOf(1), strategy: "sequential", ttlMs } as const;
        const { lease } = await acquireLease(store, options);
        assert.deepEqual([lease.subnet.ipv4, lease.subnet.ipv6], [subnetAt(2).ipv4, subnetAt(1).ipv6]);
        assert.deepEqual((await store.list()).leases.map(describeLease).toSorted(), [
          `${formatSubnet(theirs)} 192.0.2.9`,
          `${formatSubnet(lease.subnet)} 192.0.2.1`,
        ]);
      }),
  },
  {
    title:
      "own key as a prefix: watch() of a subnet tells nothing of one whose key begins with the same text",
    requires: [],
    run: (context) =>
      withStores(context, async (store) => {
        const own = ipv4Of(subnetAt(1));
        await context.put(own, attributesOf(1), ttlMs);
        await withWatch(store, { subnet: own }, async (watched) => {
          await watched.next();
          await context.put(subnetAt(1), attributesOf(9), ttlMs);
          await context.put(own, attributesOf(2), ttlMs);
          await watched.until(() => watched.state[0]?.endsWith("192.0.2.2") === true);
          assert.deepEqual(watched.state, [`${formatSubnet(own)} 192.0.2.2`]);
          const told = watched.events.flatMap((event) => ("lease" in event ? [event.lease] : []));
          assert(told.every(({ subnet }) => sameSubnet(subnet, own)));
        });
      }),
  },
];

const poison: readonly (readonly [key: string, value: string])[] = [
  ["lock", ""],
  ["10.5.9-24", '{"PublicIP":"192.0.2.9"}'],
  ["10.5.300.0-24", '{"PublicIP":"192.0.2.9"}'],
  ["10.5.9.0-24", "{"],
  ["10.5.9.0-24", '{"PublicIP":"192.0.2.9","PublicIPv6":""}'],
  ["10.5.9.0-24", '{"PublicIP":"192.0.2.9","BackendType":1}'],
];

function ipv4Of({ ipv4 }: Subnet): Subnet {
  return { ...(ipv4 && { ipv4 }) };
}

interface FollowerScene {
  readonly other: LeaseStore;
  readonly connection: BreakableStore;
  readonly peers: FollowedPeers;
}

/** Follows through a connection that can be cut, from when there are no leases. */
async function withFollower(
  context: ConformanceContext,
  options: { readonly own?: Subnet },
  use: (scene: FollowerScene) => Promise<void>,
): Promise<void> {
  await withStores(context, async (behind, other) => {
    const connection = breakable(behind);
    const peers = new FollowedPeers(connection.store, options);
    try {
      await peers.until([]);
      await use({ other, connection, peers });
    } finally {
      await peers.stop();
    }
  });
}

/** Cuts the connection, lets something happen once the follower has noticed, and restores it. */
async function duringOutage(connection: BreakableStore, happen: () => Promise<unknown>): Promise<void> {
  const failed = connection.failure();
  connection.cut();
  await failed;
  await happen();
  connection.restore();
}

/** The next diagnostic of a type. Other stores' are not told apart: what is waited for is about this test's own. */
async function nextDiagnostic<Type extends LeaseDiagnostic["type"]>(
  type: Type,
): Promise<Extract<LeaseDiagnostic, { readonly type: Type }>> {
  const { promise, resolve } = Promise.withResolvers<Extract<LeaseDiagnostic, { readonly type: Type }>>();
  const listen = (message: unknown): void => {
    if ((message as LeaseDiagnostic).type === type) resolve(message as Awaited<typeof promise>);
  };
  subscribe(leaseChannelName, listen);
  try {
    return await promise;
  } finally {
    unsubscribe(leaseChannelName, listen);
  }
}

async function untilEvent(
  events: AsyncIterator<KeepEvent, void>,
  type: KeepEvent["type"],
): Promise<KeepEvent> {
  for (;;) {
    const { value } = await events.next();
    assert(value !== undefined, `keeping ended by itself, expected "${type}"`);
    if (value.type === type) return value;
  }
}
