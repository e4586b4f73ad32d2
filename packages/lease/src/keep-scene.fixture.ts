import { parseAddress, parsePrefix } from "@loden/ip";
import type { Subnet } from "@loden/subnet";
import { defaultTtlMs } from "./acquire-lease.ts";
import { type KeepEvent, keepLease, type KeepLeaseOptions } from "./keep-lease.ts";
import type { Lease, LeaseAttributes } from "./lease.ts";
import type { LeaseStore } from "./lease-store.ts";
import { createFakeLeaseStore, type FakeLeaseStore } from "./testing/fake-lease-store.ts";
import { interceptStore, type StoreOperation } from "./testing/intercept-store.ts";
import { ManualClock } from "./testing/manual-clock.ts";

/** The subnet that host 1 holds in the scene. */
export const subnet: Subnet = { ipv4: parsePrefix("10.5.1.0/24") };

/** A host that has just got a lease on {@link subnet}, and what a test can do to it. */
export interface KeepScene {
  /** Stands still until it is moved. */
  readonly clock: ManualClock;
  /** The leases, for whoever writes without asking. */
  readonly fake: FakeLeaseStore;
  /** The store as the host has it. */
  readonly store: LeaseStore;
  /** What happens before operations of `store`: an error makes them fail, a promise makes them wait. */
  readonly before: Map<StoreOperation, () => Promise<void> | void>;
  /** The same after operations: an error hides that they happened. */
  readonly after: Map<StoreOperation, () => Promise<void> | void>;
  /** Ends keeping. */
  readonly stop: AbortController;
  /** What is kept; assign another one before `keep`. */
  lease: Lease;
  /** Keeps the lease from now on, without jitter, and notes what is told. */
  keep(options?: KeepLeaseOptions): { readonly events: KeepEvent[]; readonly done: Promise<void> };
}

/** Sets the scene: a claim, 24 hours long, made now. */
export async function openKeepScene(): Promise<KeepScene> {
  const clock = new ManualClock();
  const fake = createFakeLeaseStore({ clock });
  const before: KeepScene["before"] = new Map();
  const after: KeepScene["after"] = new Map();
  const store = interceptStore(fake, {
    before: (operation) => before.get(operation)?.(),
    after: (operation) => after.get(operation)?.(),
  });
  const stop = new AbortController();
  const scene: KeepScene = {
    clock,
    fake,
    store,
    before,
    after,
    stop,
    lease: await store.claim(subnet, host(1), { ttlMs: defaultTtlMs }),
    keep(options = {}) {
      const events: KeepEvent[] = [];
      const iterate = async (): Promise<void> => {
        const settings = { clock, random: () => 0, signal: stop.signal, ...options };
        for await (const event of keepLease(store, scene.lease, settings)) events.push(event);
      };
      const done = iterate();
      done.catch(() => {});
      return { events, done };
    },
  };
  return scene;
}

/** What the n-th host publishes. */
export function host(n: number): LeaseAttributes {
  return { publicIP: parseAddress(`192.0.2.${n}`), backendType: "" };
}

/** The types of events, in order. */
export function typesOf(events: readonly KeepEvent[]): string[] {
  return events.map(({ type }) => type);
}

/** An outage, for `before` and `after`. */
export function fail(): never {
  throw new Error("no route to host");
}
