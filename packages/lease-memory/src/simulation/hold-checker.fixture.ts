import { formatSubnetKey, type Lease, type LeaseAttributes, sameOwner } from "@loden/lease";
import { formatSubnet } from "@loden/subnet";
import type { MemoryEntry, MemoryStorage } from "../index.ts";
import { callDeadlineMs, longestHopMs } from "./faulty-link.fixture.ts";
import type { SimulatedNode } from "./simulated-node.fixture.ts";
import type { World } from "./world.fixture.ts";

/** A watch that broke is tried again after this long at most. It takes a call, and so does the renewal that finds out. */
const longestWatchDelayMs = 5_000;
/** Links lose a call now and then; so many in a row are as good as impossible. */
const lostCalls = 3;
const noticeMs = (1 + lostCalls) * (longestWatchDelayMs + callDeadlineMs) + callDeadlineMs + 4 * longestHopMs;

/** Instants of nodes lie at some offset, which costs the last digits. */
const roundingMs = 0.001;

/** A write by somebody who asks nobody. */
interface ForcedWrite {
  readonly revision: number;
  readonly at: number;
}

/** An operator's write that made a reservation. */
interface Reservation {
  readonly revision: number;
  readonly attributes: LeaseAttributes;
}

/**
 * Watches every write to the storage and every change of a node, and fails the run at the instant when one of these does
 * not hold. A node counts as a holder while it says `held`; one whose machine is suspended says nothing.
 *
 * 1. A holder's lease is in the store, under its name. So no two nodes hold one subnet.
 * 2. Except where somebody took it away by force (a delete, a write without compare). Then the node says `held` only until
 *    it can know: until its time to live is over, or shortly after its link to the store has come back.
 * 3. No node says `held` past the time to live of what the store confirmed, counted from when the node asked for it.
 * 4. No node says that its time is over before it is; nor at all while the store was well within reach.
 */
export class HoldChecker {
  readonly #world: World;
  readonly #storage: MemoryStorage;
  readonly #nodes: readonly SimulatedNode[];
  readonly #holders = new Map<string, Set<SimulatedNode>>();
  readonly #keys = new Map<SimulatedNode, string>();
  readonly #forced = new Map<string, ForcedWrite>();
  readonly #reservations = new Map<string, Reservation[]>();
  /** Nodes that were suspended until this instant: what they say is of no account before it is over. */
  readonly #waking = new Set<SimulatedNode>();
  #seenRevision = 0;
  #forcedOverlaps = 0;

  /**
   * @param world - What to watch.
   * @param nodes - Who can hold a subnet.
   */
  constructor(world: World, nodes: readonly SimulatedNode[]) {
    this.#world = world;
    this.#storage = world.storage;
    this.#nodes = nodes;
  }

  /** How often two nodes were seen to hold one subnet because a lease had been taken away by force. */
  get forcedOverlaps(): number {
    return this.#forcedOverlaps;
  }

  /** Takes note of what was written. */
  takeWrites(isForced: boolean): void {
    const since = this.#seenRevision;
    for (const { entry, revision, type } of this.#storage.changesSince(since) ?? []) {
      if (revision <= this.#seenRevision) continue;
      this.#seenRevision = revision;
      if (isForced) this.#forced.set(entry.key, { revision, at: this.#world.clock.elapsed() });
      if (isForced && type === "put" && entry.expiresAt === undefined) this.#takeReservation(entry);
      for (const node of this.#holders.get(entry.key) ?? []) this.#checkBacked(node);
    }
  }

  /** Takes note that a node is about to wake: it gets one turn to look at its clock. */
  wake(node: SimulatedNode): void {
    this.#waking.add(node);
  }

  /** Takes note of what a node says. */
  takeState(node: SimulatedNode): void {
    const { state, lease } = node;
    if (state === "unconfirmed") this.#checkExpiry(node);
    const before = this.#keys.get(node);
    if (before !== undefined) this.#holders.get(before)?.delete(node);
    this.#keys.delete(node);
    if (state !== "held" || lease === undefined) return;
    const key = formatSubnetKey(lease.subnet);
    this.#keys.set(node, key);
    const holders = this.#holders.get(key) ?? new Set();
    this.#holders.set(key, holders.add(node));
    this.#checkBacked(node);
    if (holders.size > 1) this.#checkOverlap([...holders]);
  }

  /** Checks every node. Everything that was ready must have had its turn. */
  checkAll(): void {
    this.#waking.clear();
    for (const node of this.#nodes) {
      if (!this.#isHolder(node)) continue;
      // Whoever lost nothing by force was checked when something changed.
      if (this.#forcedSince(node) !== undefined) this.#checkBacked(node);
      this.#checkTime(node);
    }
  }

  #isHolder(node: SimulatedNode): boolean {
    return node.state === "held" && !node.clock.isSuspended && !this.#waking.has(node);
  }

  #checkBacked(node: SimulatedNode): void {
    const { lease } = node;
    if (!this.#isHolder(node) || lease === undefined) return;
    const entry = this.#entryOf(lease);
    if (entry?.lease !== undefined && sameOwner(entry.lease.attributes, node.attributes)) return;
    const forced = this.#forcedSince(node);
    const subnet = formatSubnet(lease.subnet);
    const found = entry === undefined ? "nothing" : `${entry.value} at revision ${entry.revision}`;
    if (forced === undefined) {
      const what = `${node.name} holds ${subnet} at revision ${lease.revision}`;
      return this.#violate(`${what}, but the store has ${found}`);
    }
    const overdueMs = this.#world.clock.elapsed() - Math.max(forced.at, node.link.cleanSince) - noticeMs;
    if (overdueMs <= 0) return;
    this.#violate(`${node.name} still holds ${subnet}, which was taken away: the store has ${found}`);
  }

  /** All holders but one must have lost their lease by force. */
  #checkOverlap(holders: readonly SimulatedNode[]): void {
    const rightful = holders.filter((node) => this.#isHolder(node) && this.#forcedSince(node) === undefined);
    if (rightful.length < holders.length) this.#forcedOverlaps += 1;
    if (rightful.length > 1)
      this.#violate(`${rightful.map(({ name }) => name).join(" and ")} hold one subnet`);
  }

  #checkTime(node: SimulatedNode): void {
    const { name, lease } = node;
    // A reservation has no end, and a node that holds the lease may know by its watch that it was made one.
    if (lease === undefined || lease.expiresAt === undefined || this.#wasReserved(node)) return;
    const lateMs = this.#world.clock.elapsed() - node.link.validUntil;
    if (lateMs < 0) return;
    this.#violate(`${name} holds ${formatSubnet(lease.subnet)} ${lateMs} ms after its time to live`);
  }

  #checkExpiry(node: SimulatedNode): void {
    const { ttlMs, clock } = this.#world;
    const { validUntil, cleanSince } = node.link;
    const earlyMs = validUntil - clock.elapsed();
    if (earlyMs > roundingMs)
      this.#violate(`${node.name} gave up ${earlyMs} ms before its time to live was over`);
    // Renewals begin a third before the end.
    if (
      !this.#waking.has(node) &&
      cleanSince < validUntil - ttlMs / 3 &&
      this.#forcedSince(node) === undefined
    ) {
      this.#violate(`${node.name} let its lease expire although it could reach the store`);
    }
  }

  #takeReservation({ key, revision, lease }: MemoryEntry): void {
    if (lease === undefined) return;
    const { attributes } = lease;
    this.#reservations.set(key, [...(this.#reservations.get(key) ?? []), { revision, attributes }]);
  }

  #wasReserved(node: SimulatedNode): boolean {
    const reservations = this.#reservations.get(this.#keys.get(node) ?? "") ?? [];
    return reservations.some(({ revision, attributes }) => {
      return revision > Number(node.lease?.revision) && sameOwner(attributes, node.attributes);
    });
  }

  #forcedSince(node: SimulatedNode): ForcedWrite | undefined {
    const forced = this.#forced.get(this.#keys.get(node) ?? "");
    return forced !== undefined && forced.revision > Number(node.lease?.revision) ? forced : undefined;
  }

  #entryOf(lease: Lease): MemoryEntry | undefined {
    return this.#storage.get(lease.subnet);
  }

  /** Does not throw, because it would throw into whatever is being checked. */
  #violate(what: string): void {
    this.#world.note("checks", "failed", what);
    this.#world.fail(new Error(what));
  }
}
