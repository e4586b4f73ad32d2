import { formatSubnet, sameSubnet } from "@loden/subnet";
import { type Backoff, createBackoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import { publishDiagnostic } from "./diagnostics.ts";
import type { KeepEvent } from "./keep-lease.ts";
import { type Lease, type LeaseAttributes, sameAttributes, sameOwner } from "./lease.ts";
import { LeaseConflictError, LeaseLostError } from "./lease-errors.ts";
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
  /** Until when the lease is ours before its first renewal, by `elapsed()`; reckoned by the wall clock when absent. */
  readonly validUntil: number | undefined;
}

/** What a renewal came to. */
export type RenewalOutcome = { readonly lease: Lease } | { readonly error: unknown };

/** What a keeper knows about its lease, and when it has to do something about it. Instants are of `elapsed()`. */
export class KeptLease {
  readonly #settings: KeepSettings;
  readonly #backoff: Backoff;
  #lease: Lease;
  /** What is to be published; differs from the lease's until a renewal has said so. */
  #wanted: LeaseAttributes;
  #expiry: number;
  #nextRenewal: number;
  #renewalStart: number | undefined;
  #toldExpired = false;
  /**
   * The revision of a renewal that was answered before the watch told of it. Until it does, what it tells of our own
   * writes is older than what we know, and may be about a time that is long over.
   */
  #awaitedEcho: string | undefined;
  /** Of the last write of our own but one, which a store that looks up an older state may tell of once more. */
  #revisionBefore: string | undefined;
  /** Whether a renewal was made at once to find out more. Another one has to wait. */
  #isInDoubt = false;
  /** What the watch told of our subnet when it was not ours any more. */
  #takenBy: { readonly lease: Lease | undefined } | undefined;

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
    this.#wanted = lease.attributes;
    this.#expiry = settings.validUntil ?? this.#reckonExpiry(lease);
    this.#nextRenewal = this.#expiry - marginMs;
  }

  /** As last confirmed. */
  get lease(): Lease {
    return this.#lease;
  }

  /** What the next renewal publishes. */
  get attributes(): LeaseAttributes {
    return this.#wanted;
  }

  /**
   * Takes what is to be published from now on. If that is new, a renewal is due.
   *
   * @param attributes - All of it.
   */
  publish(attributes: LeaseAttributes): void {
    if (sameAttributes(attributes, this.#wanted)) return;
    this.#wanted = attributes;
    this.#nextRenewal = this.#settings.clock.elapsed();
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

  /** @returns Whether the time of the lease has run out and nobody was told. */
  isExpiryNews(): boolean {
    return !this.#toldExpired && this.#settings.clock.elapsed() >= this.#expiry;
  }

  /** Takes note that it was told that the time of the lease has run out. */
  noteExpiryTold(): void {
    this.#toldExpired = true;
  }

  /** @returns How long nothing is to be done, in milliseconds; `Infinity` when only news can change that. */
  nextWakeMs(): number {
    const renewal = this.#renewalStart === undefined ? this.#nextRenewal : Infinity;
    const expiry = this.#toldExpired ? Infinity : this.#expiry;
    return Math.min(renewal, expiry) - this.#settings.clock.elapsed();
  }

  /**
   * Takes news of the own subnet. What others did there is only a hint: a renewal, being a compare, finds out what is
   * so. Our own writes are echoed here too, even long after they were answered.
   *
   * @param event - From a watch on the own subnet.
   */
  takeHint(event: LeaseEvent): void {
    const seen = seenLease(event, this.#lease);
    if (seen?.revision === this.#awaitedEcho) this.#awaitedEcho = undefined;
    if (seen?.revision === this.#lease.revision) return;
    if (seen === undefined || !this.#isOurs(seen)) {
      this.#takenBy = { lease: seen };
      this.#nextRenewal = this.#settings.clock.elapsed();
    } else if (this.#awaitedEcho === undefined) {
      this.#takeOwnWrite(seen);
    }
  }

  /**
   * Takes what a renewal came to.
   *
   * @param outcome - The renewed lease or the error.
   * @returns What to tell; `undefined` when another renewal, at once, has to find out more.
   */
  takeOutcome(outcome: RenewalOutcome): KeepEvent | undefined {
    const start = this.#renewalStart ?? this.#settings.clock.elapsed();
    this.#renewalStart = undefined;
    if ("lease" in outcome) return this.#confirm(outcome.lease, start);
    const { error } = outcome;
    if (error instanceof LeaseLostError) return { type: "lost", lease: this.#lease, error };
    if (error instanceof LeaseConflictError) {
      const { theirs } = error;
      if (theirs === undefined || !this.#isOurs(theirs)) {
        return { type: "conflict", lease: this.#lease, error };
      }
      // Ours after all: a renewal whose answer was lost, or another program on this host.
      const isSame = sameAttributes(theirs.attributes, this.#wanted);
      this.#lease = { ...theirs, attributes: this.#ownAttributes(theirs) };
      this.#takenBy = undefined;
      if (isSame && theirs.expiresAt === undefined) return this.#confirm(theirs, start);
      // When the store began to count is not known, so only a renewal can make it last longer.
      if (isSame && !this.#isInDoubt) return this.#renewAtOnce();
    } else if (this.#takenBy !== undefined) {
      return this.#yieldTo(this.#takenBy.lease);
    }
    const delayMs = this.#backoff.next();
    this.#nextRenewal = this.#settings.clock.elapsed() + delayMs;
    return { type: "retrying", lease: this.#lease, error, attempt: this.#backoff.attempt, delayMs };
  }

  #confirm(lease: Lease, start: number): KeepEvent | undefined {
    const { ttlMs, marginMs, clock } = this.#settings;
    this.#awaitedEcho = this.#lease.revision === lease.revision ? undefined : lease.revision;
    this.#revisionBefore = this.#lease.revision;
    this.#lease = lease;
    // The store cannot have started counting before it was asked.
    this.#expiry = lease.expiresAt === undefined ? Infinity : start + ttlMs;
    // The answer took longer than what it promises lasts.
    if (this.#expiry <= clock.elapsed()) return this.#renewAtOnce();
    this.#backoff.reset();
    this.#isInDoubt = false;
    this.#toldExpired = false;
    // A hint that came meanwhile has set it to an earlier instant.
    this.#nextRenewal = Math.min(this.#nextRenewal, this.#expiry - marginMs);
    return { type: "renewed", lease };
  }

  #isOurs({ attributes }: Lease): boolean {
    return sameOwner(attributes, this.#lease.attributes) || sameOwner(attributes, this.#wanted);
  }

  /** Which of our own attributes a lease of ours was written with, by its owner. */
  #ownAttributes({ attributes }: Lease): LeaseAttributes {
    return sameOwner(attributes, this.#wanted) ? this.#wanted : this.#lease.attributes;
  }

  #renewAtOnce(): undefined {
    this.#isInDoubt = true;
    this.#nextRenewal = this.#settings.clock.elapsed();
  }

  /** The watch tells of a write of this host that is not the one we know: takes its revision for the next compare. */
  #takeOwnWrite(seen: Lease): void {
    this.#lease = { ...seen, attributes: this.#ownAttributes(seen) };
    this.#takenBy = undefined;
    // A renewal is under way, or will be after a pause: it will make sure.
    if (this.#renewalStart !== undefined || this.#backoff.attempt > 0) return;
    if (seen.expiresAt !== undefined && seen.revision !== this.#revisionBefore) tellOfOtherHolder(seen);
    // Another program on this host. It may have shortened the lease, or an operator may have made a reservation of it.
    this.#expiry = seen.expiresAt === undefined ? Infinity : Math.min(this.#expiry, this.#reckonExpiry(seen));
    this.#nextRenewal = this.#expiry - this.#settings.marginMs;
  }

  /** The store is out of reach, but had told by its watch that the subnet is not ours any more. */
  #yieldTo(theirs: Lease | undefined): KeepEvent {
    const lease = this.#lease;
    if (theirs === undefined) return { type: "lost", lease, error: new LeaseLostError(lease) };
    return { type: "conflict", lease, error: new LeaseConflictError(lease, theirs) };
  }

  /** By the wall clock, for want of anything better. */
  #reckonExpiry({ expiresAt }: Lease): number {
    const { ttlMs, clock } = this.#settings;
    if (expiresAt === undefined) return Infinity;
    return clock.elapsed() + Math.min(Math.max(expiresAt - clock.now(), 0), ttlMs);
  }
}

/** Nothing can be done about it here: a host is known by its address alone, and each of the two would take the lease back from the other. */
function tellOfOtherHolder({ subnet, attributes: { publicIP, publicIPv6 } }: Lease): void {
  const address = [publicIP, publicIPv6].filter((one) => one !== undefined).join(" and ");
  publishDiagnostic({
    type: "held-elsewhere",
    subnet: formatSubnet(subnet),
    reason: `somebody else wrote this host's lease with its address ${address}, expected one host for each address and one program for each host`,
  });
}

function seenLease(event: LeaseEvent, own: Lease): Lease | undefined {
  if (event.type === "removed") return undefined;
  if (event.type === "snapshot") return event.leases.find((lease) => sameSubnet(lease.subnet, own.subnet));
  return event.lease;
}
