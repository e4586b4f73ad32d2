import { type Lease, type LeaseAttributes, sameAttributes } from "@loden/lease";
import { publishBackendEvent } from "./backend-event.ts";
import type { Backend, BackendStats, CloseOptions, DirectionStats, Membership } from "./backend.ts";
import { createPeerReports } from "./peer-reports.ts";
import type { PeerSubnets } from "./peer-subnets.ts";
import type { Underlay } from "./underlay.ts";

/** What containers and peers are told: what follows from an underlay. */
export interface Published {
  /** The MTU that containers may use, in bytes. */
  readonly mtu: number;
  /** What the lease says. */
  readonly attributes: LeaseAttributes;
}

/** All that a backend is to make of the kernel. */
export interface Wanted extends Membership {
  /** The network between the hosts, as it is now. */
  readonly underlay: Underlay;
  /** The leases of all other hosts. */
  readonly peers: readonly Lease[];
}

/** What one backend whose packets the kernel carries does otherwise than another. */
export interface KernelDriver {
  /** The backend's type. */
  readonly type: string;
  /**
   * Says what follows from an underlay. Called again whenever something may have changed it.
   *
   * @throws {TypeError} or {RangeError} for an underlay that the backend can't work over.
   */
  publish(underlay: Underlay): Published;
  /**
   * Makes the kernel hold what is wanted, all of it and nothing else. Calls wait for each other.
   *
   * @returns the peers that are served and those that can't be. One of these keeps no other from being served.
   * @throws {KernelError} when the place of this host itself can't be had.
   */
  program(wanted: Wanted, options: { readonly signal?: AbortSignal | undefined }): Promise<PeerSubnets>;
  /**
   * Opens streams that yield when the kernel has changed so that `publish` or `program` would do something else than before. Called when the backend
   * joins, before `program`; they end when the signal aborts.
   */
  watch?(signal: AbortSignal): readonly AsyncIterable<unknown>[];
  /** Says what `program` would do, as commands, and does nothing. */
  explain(wanted: Wanted, options: { readonly signal?: AbortSignal | undefined }): Promise<string>;
  /** Names of the devices that `program` makes; without it none. */
  deviceNames?(underlay: Underlay): readonly string[];
  /** Removes from the kernel what `program` made. */
  clear(): Promise<void>;
  /** Lets go of sockets and watches; the kernel goes on. Called once, last. */
  close(): void;
  /** Reads the kernel's counters; nothing where it has none. */
  traffic?(): { readonly outbound: DirectionStats; readonly inbound: DirectionStats };
}

/**
 * Creates a backend over the kernel's own packet path. It remembers the lease, the underlay and the peers, and hands all of that over at each
 * change of any of them; what the kernel is to hold is the driver's.
 *
 * @param driver what differs between backends.
 * @param first the underlay on which it is opened.
 * @returns the backend, which has not joined; closing it closes the driver.
 * @throws {TypeError} or {RangeError} as the driver does, for an underlay that it can't work over.
 */
export function createKernelBackend(driver: KernelDriver, first: Underlay): Backend {
  const { type } = driver;
  const report = createPeerReports(type);
  let underlay = first;
  let published = driver.publish(first);
  let membership: Membership | undefined;
  let peers: readonly Lease[] = [];
  let served = 0;
  let closing: Promise<void> | undefined;
  let end = new AbortController();
  /** The call that is under way; the next one waits for it. */
  let last: Promise<unknown> = Promise.resolve();

  function exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = last.then(work);
    last = result.catch(() => undefined);
    return result;
  }

  async function program(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    if (membership === undefined || closing !== undefined) return;
    options.signal?.throwIfAborted();
    const place = { ...membership, lease: { ...membership.lease, attributes: published.attributes } };
    const { subnets, skipped } = await driver.program({ ...place, underlay, peers }, options);
    served = new Set(subnets.map(({ lease }) => lease)).size;
    report(skipped);
  }

  async function join(
    wanted: Membership,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const attempt = "Cannot join the overlay: the backend";
    if (closing !== undefined) throw new TypeError(`${attempt} is closed, expected an open one`);
    if (membership !== undefined)
      throw new TypeError(`${attempt} has joined already, expected the first call`);
    membership = wanted;
    return exclusive(async () => {
      // Open before, so that nothing is missed.
      const streams = driver.watch?.(end.signal) ?? [];
      try {
        await program(options);
      } catch (error) {
        end.abort();
        end = new AbortController();
        membership = undefined;
        await driver.clear();
        throw error;
      }
      for (const changes of streams) void follow(changes);
    });
  }

  /** Publishes and programs again whenever the driver says so. What fails is tried again at the next change. */
  async function follow(changes: AsyncIterable<unknown>): Promise<void> {
    try {
      for await (const _ of changes) {
        await exclusive(publish).catch((error: unknown) => {
          publishBackendEvent({ type: "programFailed", backend: type, error });
        });
      }
    } catch (error) {
      if (closing === undefined) publishBackendEvent({ type: "programFailed", backend: type, error });
    }
  }

  async function publish(options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    const before = published;
    published = driver.publish(underlay);
    const { mtu, attributes } = published;
    if (sameAttributes(attributes, before.attributes)) published = { mtu, attributes: before.attributes };
    try {
      await program(options);
    } finally {
      if (mtu !== before.mtu)
        publishBackendEvent({ type: "mtuChanged", backend: type, before: before.mtu, mtu });
      if (published.attributes !== before.attributes)
        publishBackendEvent({ type: "attributesChanged", backend: type, attributes });
    }
  }

  function close({ keep = false }: CloseOptions = {}): Promise<void> {
    end.abort();
    closing ??= exclusive(async () => {
      try {
        if (membership !== undefined && !keep) await driver.clear();
      } finally {
        driver.close();
      }
    });
    return closing;
  }

  return {
    type,
    get deviceNames() {
      return membership === undefined ? [] : (driver.deviceNames?.(underlay) ?? []);
    },
    get mtu() {
      return published.mtu;
    },
    get attributes() {
      return published.attributes;
    },
    join,
    apply: (wanted, options) =>
      exclusive(async () => {
        peers = wanted;
        await program(options);
      }),
    setUnderlay: (changed, options) =>
      exclusive(async () => {
        options?.signal?.throwIfAborted();
        driver.publish(changed); // refuses what it can't work over, before anything changes
        underlay = changed;
        await publish(options);
      }),
    explain: (wanted, others, options = {}) =>
      exclusive(() => driver.explain({ ...wanted, underlay, peers: others }, options)),
    stats: (): BackendStats => ({
      peers: served,
      outbound: NOTHING,
      inbound: NOTHING,
      ...driver.traffic?.(),
      icmpSent: 0,
      icmpSuppressed: 0,
      restarts: 0,
    }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

const NOTHING: DirectionStats = { packets: 0, bytes: 0, dropped: {} };
