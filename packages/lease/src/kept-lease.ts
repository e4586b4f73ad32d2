import { sameSubnet } from "@loden/subnet";
import { type Backoff, createBackoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import type { KeepEvent } from "./keep-lease.ts";
import { type Lease, sameAttributes, sameOwner } from "./lease.ts";
import { LeaseConflictError, LeaseLostError, StoreClosedError } from "./lease-errors.ts";
import type { LeaseEvent } from "./lease-store.ts";

/** How a lease is kept. Durations in milliseconds. */
export interface KeepSettings {
  /** How long each renewal makes it last. */
  readonly ttlMs: number;
  /** How long before expiry it is renewed. */
  readonly marginMs: number;
  /** Where time comes from. */
  readonly clock: Clock;
  /** Where jitter comes from. */
  readonly random: () => number;
}

/** What a renewal came to. */
export type RenewalOutcome = { readonly lease: Lease } | { readonly error: unknown };

/** What a keeper knows about its lease, and when it has to do something about it. Instants are of `elapsed()`. */
export class KeptLease {
  readonly #settings: KeepSettings;
  readonly #backoff: Backoff;
  #lease: Lease;
  #expiry = Infinity;
  #nextRenewal = Infinity;
  #renewalStart: number | undefined;
  #toldExpired = false;

  /**
   * @param lease - As acquired.
   * @param settings - How it is kept.
   */
  constructor(lease: Lease, settings: KeepSettings) {
    const { marginMs, random } = settings;
    this.#settings = settings;
    this.#backoff = createBackoff({
      firstMs: Math.min(1_000, marginMs / 8),
      maxMs: Math.min(30_000, marginMs / 2),
      random,
    });
    this.#lease = lease;
    this.#adopt(lease);
  }

  /** As last confirmed. */
  get lease(): Lease {
    return this.#lease;
  }

  /** @returns Whether a renewal should start now. */
  isRenewalDue(): boolean {
    return this.#settings.clock.elapsed() >= this.#nextRenewal;
  }

  /** @returns The lease to renew; `takeOutcome` has to follow. */
  startRenewal(): Lease {
    this.#renewalStart = this.#settings.clock.elapsed();
    this.#nextRenewal = Infinity;
    return this.#lease;
  }

  /** @returns Whether the time of the lease has run out; true once for each time that it does. */
  noticeExpiry(): boolean {
    if (this.#toldExpired || this.#settings.clock.elapsed() < this.#expiry) return false;
    this.#toldExpired = true;
    return true;
  }

  /** @returns How long nothing is to be done, in milliseconds; `Infinity` when only news can change that. */
  nextWakeMs(): number {
    const renewal = this.#renewalStart === undefined ? this.#nextRenewal : Infinity;
    const expiry = this.#toldExpired ? Infinity : this.#expiry;
    return Math.min(renewal, expiry) - this.#settings.clock.elapsed();
  }

  /**
   * Takes news of the own subnet. What others did there is only a hint: a renewal, being a compare, finds out what is
   * so. Our own writes are echoed here too.
   *
   * @param event - From a watch on the own subnet.
   */
  takeHint(event: LeaseEvent): void {
    const seen = seenLease(event, this.#lease);
    if (seen?.revision === this.#lease.revision) return;
    if (seen !== undefined && sameOwner(seen.attributes, this.#lease.attributes)) this.#adopt(seen);
    else this.#nextRenewal = this.#settings.clock.elapsed();
  }

  /**
   * Takes what a renewal came to.
   *
   * @param outcome - The renewed lease or the error.
   * @returns What to tell; `undefined` when the store is closed.
   */
  takeOutcome(outcome: RenewalOutcome): KeepEvent | undefined {
    const start = this.#renewalStart;
    this.#renewalStart = undefined;
    if ("lease" in outcome) return this.#confirm(outcome.lease, start);
    const { error } = outcome;
    if (error instanceof StoreClosedError) return undefined;
    if (error instanceof LeaseLostError) return { type: "lost", lease: this.#lease, error };
    if (error instanceof LeaseConflictError) {
      const { theirs } = error;
      if (theirs === undefined || !sameOwner(theirs.attributes, this.#lease.attributes)) {
        return { type: "conflict", lease: this.#lease, error };
      }
      // Ours after all: a renewal whose answer was lost, or another program on this host.
      const { attributes } = this.#lease;
      this.#adopt(theirs);
      if (sameAttributes(theirs.attributes, attributes)) return { type: "renewed", lease: this.#lease };
    }
    const delayMs = this.#backoff.next();
    this.#nextRenewal = this.#settings.clock.elapsed() + delayMs;
    return { type: "retrying", lease: this.#lease, error, attempt: this.#backoff.attempt, delayMs };
  }

  #confirm(lease: Lease, start: number | undefined): KeepEvent {
    const { ttlMs, marginMs, clock } = this.#settings;
    this.#backoff.reset();
    this.#lease = lease;
    this.#toldExpired = false;
    // The store cannot have started counting before it was asked.
    this.#expiry = lease.expiresAt === undefined ? Infinity : (start ?? clock.elapsed()) + ttlMs;
    // A hint that came meanwhile has set it to an earlier instant.
    this.#nextRenewal = Math.min(this.#nextRenewal, this.#expiry - marginMs);
    return { type: "renewed", lease };
  }

  /** Takes the store's state for ours, and goes on publishing what we publish. */
  #adopt(seen: Lease): void {
    const { ttlMs, marginMs, clock } = this.#settings;
    const leftMs = seen.expiresAt === undefined ? Infinity : seen.expiresAt - clock.now();
    this.#lease = { ...seen, attributes: this.#lease.attributes };
    this.#toldExpired = false;
    this.#backoff.reset();
    this.#expiry = leftMs === Infinity ? Infinity : clock.elapsed() + Math.min(Math.max(leftMs, 0), ttlMs);
    this.#nextRenewal = this.#expiry - marginMs;
  }
}

function seenLease(event: LeaseEvent, own: Lease): Lease | undefined {
  if (event.type === "removed") return undefined;
  if (event.type === "snapshot") return event.leases.find((lease) => sameSubnet(lease.subnet, own.subnet));
  return event.lease;
}
