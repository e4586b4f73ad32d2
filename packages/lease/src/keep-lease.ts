import { defaultTtlMs } from "./acquire-lease.ts";
import { type Clock, systemClock } from "./clock.ts";
import { type KeepSettings, KeptLease, type RenewalOutcome } from "./kept-lease.ts";
import type { Lease, LeaseAttributes } from "./lease.ts";
import { type LeaseConflictError, type LeaseLostError, StoreClosedError } from "./lease-errors.ts";
import type { LeaseEvent, LeaseStore } from "./lease-store.ts";
import { readyNow } from "./take-ready.ts";
import { watchSteadily } from "./watch-steadily.ts";

/** Options of `keepLease`. */
export interface KeepLeaseOptions {
  /** How long each renewal makes the lease last, in milliseconds; 24 hours by default. */
  readonly ttlMs?: number | undefined;
  /** How long before expiry it is renewed, in milliseconds; 60 minutes by default, or a third of `ttlMs` if less. */
  readonly marginMs?: number | undefined;
  /**
   * Until when the lease is surely ours without a renewal, from `acquireLease`: an instant of `clock.elapsed()`. When
   * absent it is reckoned from `lease.expiresAt`, which is right only while the wall clocks of this host and of whoever
   * wrote `expiresAt` agree.
   */
  readonly validUntil?: number | undefined;
  /** What to publish from now on, each time that it changes: the lease is renewed at once, on the same subnet. What is published already changes nothing. */
  readonly attributes?: AsyncIterable<LeaseAttributes> | undefined;
  /** Where time comes from; the machine's clock by default. */
  readonly clock?: Clock | undefined;
  /** Where randomness comes from (jitter). `Math.random` by default. */
  readonly random?: (() => number) | undefined;
  /** Ends keeping; the iteration then rejects with `signal.reason`. The lease stays. */
  readonly signal?: AbortSignal | undefined;
}

/** What `keepLease` tells. After `lost` and `conflict` it ends: the subnet is not ours any more. */
export type KeepEvent =
  /** The store confirmed the lease. */
  | { readonly type: "renewed"; readonly lease: Lease }
  /** A renewal failed and is tried again after `delayMs`. */
  | {
      readonly type: "retrying";
      readonly lease: Lease;
      readonly error: unknown;
      readonly attempt: number;
      readonly delayMs: number;
    }
  /** Its time has run out without an answer from the store: others may take the subnet. Attempts go on. */
  | { readonly type: "expired"; readonly lease: Lease }
  /** The store has no such lease any more. `acquireLease` with `previous` gets the subnet back if it is free. */
  | { readonly type: "lost"; readonly lease: Lease; readonly error: LeaseLostError }
  /** The store holds another host's lease on our subnet; the error names both. */
  | { readonly type: "conflict"; readonly lease: Lease; readonly error: LeaseConflictError };

/**
 * Keeps a lease alive: renews it by compare `marginMs` before it expires, and tries again with backoff when the store is
 * out of reach. It never throws because of an outage, and it never overwrites another host's lease (flannel renews with
 * an unconditional write). It also watches the own subnet, so a loss or a conflict is noticed when it happens rather
 * than at the next renewal. Time is measured by `elapsed()`, so a jump of the wall clock changes nothing.
 *
 * When `attributes` gives something new, the lease is renewed with it at once, a new public address included: until that is confirmed,
 * writes of either address count as our own.
 *
 * A write by a host with our public address is taken for our own, for instance for a renewal whose answer was lost; where it can't be one, the
 * diagnostic `held-elsewhere` tells of it, as two hosts with one address are a mistake that only an operator can mend. A reservation is watched, written only to publish something else, and never converted.
 *
 * It works while it is iterated: take each event without long delay. `break` ends it; the lease stays.
 *
 * @param store - Where the lease is.
 * @param lease - From `acquireLease`.
 * @param options - Times and the signal.
 * @returns The events; ends after `lost` and `conflict`, and when the store closes.
 * @throws {RangeError} If the margin is not less than the time to live.
 */
export function keepLease(
  store: LeaseStore,
  lease: Lease,
  options: KeepLeaseOptions = {},
): AsyncGenerator<KeepEvent, void, undefined> {
  const { ttlMs = defaultTtlMs, clock = systemClock(), random = Math.random } = options;
  const { marginMs = Math.min(60 * 60_000, ttlMs / 3) } = options;
  if (!(marginMs > 0 && marginMs < ttlMs)) {
    throw new RangeError(
      `Cannot keep lease: marginMs is ${marginMs}, expected more than 0 and less than ${ttlMs}`,
    );
  }
  return keep(
    store,
    lease,
    { ttlMs, marginMs, clock, random, validUntil: options.validUntil },
    options.attributes,
    options.signal,
  );
}

/** What wakes the keeper: news of its subnet, something else to publish, the outcome of a renewal, or the time. */
type Wake =
  | { readonly type: "hint"; readonly result: IteratorResult<LeaseEvent, unknown> }
  | { readonly type: "publish"; readonly result: IteratorResult<LeaseAttributes, unknown> }
  | { readonly type: "outcome"; readonly outcome: RenewalOutcome }
  | { readonly type: "time" };

async function* keep(
  store: LeaseStore,
  first: Lease,
  settings: KeepSettings,
  attributes: AsyncIterable<LeaseAttributes> | undefined,
  callerSignal: AbortSignal | undefined,
): AsyncGenerator<KeepEvent, void, undefined> {
  const { ttlMs, clock, random } = settings;
  const stop = new AbortController();
  const signal = callerSignal === undefined ? stop.signal : AbortSignal.any([callerSignal, stop.signal]);
  const kept = new KeptLease(first, settings);
  const hints = watchSteadily(store, { since: first.revision, subnet: first.subnet, clock, random, signal });
  const published = attributes?.[Symbol.asyncIterator]();
  const nextHint = (): Promise<Wake> => readNext(hints, (result) => ({ type: "hint", result }));
  const nextPublish = (): Promise<Wake> | undefined =>
    published && readNext(published, (result) => ({ type: "publish", result }));
  let hint = nextHint();
  let publish = nextPublish();
  let renewal: Promise<Wake> | undefined;
  try {
    for (;;) {
      if (renewal === undefined && kept.isRenewalDue()) renewal = renew(store, kept, ttlMs, signal);
      // A host that slept finds that time is over, and perhaps beside it an answer that came in time.
      if (kept.isExpiryNews() && (renewal === undefined || (await readyNow(renewal)) === undefined)) {
        kept.noteExpiryTold();
        yield { type: "expired", lease: kept.lease };
      }
      const wake = await firstOf([hint, publish, renewal], kept.nextWakeMs(), clock, signal);
      signal.throwIfAborted();
      if (wake.type === "hint") {
        if (wake.result.done === true) return;
        kept.takeHint(wake.result.value);
        hint = nextHint();
      } else if (wake.type === "publish") {
        publish = wake.result.done === true ? undefined : nextPublish();
        if (wake.result.done !== true) kept.publish(wake.result.value);
      } else if (wake.type === "outcome") {
        renewal = undefined;
        if ("error" in wake.outcome && wake.outcome.error instanceof StoreClosedError) return;
        const event = kept.takeOutcome(wake.outcome);
        if (event !== undefined) yield event;
        if (event?.type === "lost" || event?.type === "conflict") return;
      }
    }
  } finally {
    stop.abort();
    void published?.return?.();
  }
}

function readNext<T>(
  source: AsyncIterator<T>,
  wakeOf: (result: IteratorResult<T, unknown>) => Wake,
): Promise<Wake> {
  const next = source.next().then(wakeOf);
  // Nobody may be waiting when it is aborted.
  next.catch(() => {});
  return next;
}

function renew(store: LeaseStore, kept: KeptLease, ttlMs: number, signal: AbortSignal): Promise<Wake> {
  return store.renew(kept.startRenewal(), { ttlMs, attributes: kept.attributes, signal }).then(
    (lease) => ({ type: "outcome", outcome: { lease } }),
    (error: unknown) => ({ type: "outcome", outcome: { error } }),
  );
}

async function firstOf(
  sources: readonly (Promise<Wake> | undefined)[],
  wakeMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<Wake> {
  const decided = new AbortController();
  const stop = (): void => decided.abort(signal.reason);
  // Not AbortSignal.any(), which leaves something behind on the long-lived signal at every wake.
  signal.addEventListener("abort", stop);
  const pending = sources.filter((source) => source !== undefined);
  if (wakeMs < Infinity) {
    pending.push(clock.sleep(wakeMs, { signal: decided.signal }).then(() => ({ type: "time" })));
  }
  try {
    return await Promise.race(pending);
  } finally {
    signal.removeEventListener("abort", stop);
    decided.abort(isDecided);
  }
}

// One for all: making an error at every wake costs more than the rest of it.
const isDecided = new Error("Something else came first");
