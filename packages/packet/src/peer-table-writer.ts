import type { GracePeriod } from "./grace-period.ts";
import { endpointFields, PeersField, RecordField, subnetFields } from "./layout.ts";
import { PeerIndex } from "./peer-index.ts";
import type { Peer, PeerChanges } from "./peer-table.ts";
import { prefixMask } from "./prefix-mask.ts";

const afInet = 2;

/**
 * The one writer of a peer table: free records, endpoints in use, prefix lengths in use.
 *
 * Every change publishes with atomic stores in an order that is right for a reader at any point of it.
 */
export class PeerTableWriter {
  /** Index from subnet to record. */
  readonly subnets: PeerIndex;
  /** Index of outer addresses in use; the record is always 0. */
  readonly endpoints: PeerIndex;
  readonly #view: DataView;
  readonly #cells: Uint32Array;
  readonly #capacity: number;
  readonly #records: number;
  readonly #recordBytes: number;
  readonly #recordCount: number;
  readonly #endpointUses = new Map<number, number>();
  readonly #lengthUses: number[] = Array.from({ length: 33 }, () => 0);
  readonly #grace: GracePeriod;
  #fresh = 0;
  #free: number[] = [];
  #waiting: number[] = [];
  #retired: number[] = [];
  #generation = 0;

  /**
   * @param buffer the whole memory.
   * @param offset where the table's header lies.
   * @param createGrace makes a grace period over the memory's queues.
   */
  constructor(buffer: ArrayBufferLike, offset: number, createGrace: () => GracePeriod) {
    const words = new Int32Array(buffer);
    this.#view = new DataView(buffer);
    this.#cells = new Uint32Array(buffer, offset, 32);
    const field = (name: keyof typeof PeersField): number => this.#cells[PeersField[name] / 4] ?? 0;
    this.#capacity = field("capacity");
    this.#records = field("recordsOffset");
    this.#recordBytes = field("recordBytes");
    this.#recordCount = field("recordCount");
    this.#grace = createGrace();
    this.subnets = new PeerIndex(words, subnetFields(offset), createGrace());
    this.endpoints = new PeerIndex(words, endpointFields(offset), createGrace());
  }

  /** See `PeerTable.set`. */
  set(peer: Peer): "added" | "changed" | "unchanged" {
    requireValid(peer);
    const { prefixLength, endpointAddress } = peer;
    const network = (peer.network & prefixMask(prefixLength)) >>> 0;
    const old = this.subnets.find(network, prefixLength);
    if (old >= 0 && this.#says(old, peer)) return "unchanged";
    if (old < 0 && this.size >= this.#capacity)
      throw cannotSet(peer, `the table is full with ${this.size} subnets`);
    const record = this.#reserve(old < 0, !this.#endpointUses.has(endpointAddress))
      ? this.#take()
      : undefined;
    if (record === undefined)
      throw cannotSet(peer, "no record is free, expected pumps to leave their iteration");

    this.#write(record, { ...peer, network });
    this.#useEndpoint(endpointAddress, 1);
    if (old < 0) this.#useLength(prefixLength, 1);
    this.subnets.set(network, prefixLength, record);
    if (old < 0) this.#resize(1);
    else this.#retire(old);
    return old < 0 ? "added" : "changed";
  }

  /** See `PeerTable.delete`. */
  delete({ network, prefixLength }: Pick<Peer, "network" | "prefixLength">): boolean {
    const record = this.subnets.find(network & prefixMask(prefixLength), prefixLength);
    if (record < 0) return false;
    this.subnets.delete(network & prefixMask(prefixLength), prefixLength);
    this.#useLength(prefixLength, -1);
    this.#resize(-1);
    this.#retire(record);
    return true;
  }

  /** See `PeerTable.replaceAll`. */
  replaceAll(peers: Iterable<Peer>): PeerChanges {
    const wanted = new Map<number, Peer>();
    for (const peer of peers) {
      requireValid(peer);
      wanted.set(subnetKey(peer), peer);
    }
    const changes = { added: 0, changed: 0, removed: 0, unchanged: 0 };
    // Deleting first frees room; nothing is deleted that is wanted.
    for (const { network, length } of this.subnets.entries()) {
      if (wanted.has(subnetKey({ network, prefixLength: length }))) continue;
      this.delete({ network, prefixLength: length });
      changes.removed++;
    }
    for (const peer of wanted.values()) changes[this.set(peer)]++;
    const { added, changed, removed } = changes;
    return { added, changed, removed };
  }

  /** How many subnets the table holds. */
  get size(): number {
    return this.#cells[PeersField.size / 4] ?? 0;
  }

  #resize(by: number): void {
    Atomics.add(this.#cells, PeersField.size / 4, by);
  }

  // Everything that can fail comes before the first change.
  #reserve(subnet: boolean, endpoint: boolean): boolean {
    return (!subnet || this.subnets.reserve()) && (!endpoint || this.endpoints.reserve());
  }

  #take(): number | undefined {
    if (this.#free.length === 0) this.#reclaim();
    if (this.#free.length > 0) return this.#free.pop();
    return this.#fresh < this.#recordCount ? this.#fresh++ : undefined;
  }

  #retire(record: number): void {
    this.#useEndpoint(this.#read(record, "endpointAddress"), -1);
    this.#retired.push(record);
  }

  // Two steps: a record retired while one grace period runs waits for the next.
  #reclaim(): void {
    for (let step = 0; step < 2 && this.#grace.over; step++) {
      this.#free.push(...this.#waiting.splice(0));
      if (this.#retired.length === 0) return;
      [this.#waiting, this.#retired] = [this.#retired, this.#waiting];
      this.#grace.start();
    }
  }

  #useEndpoint(address: number, by: number): void {
    const uses = (this.#endpointUses.get(address) ?? 0) + by;
    if (uses > 0) this.#endpointUses.set(address, uses);
    else this.#endpointUses.delete(address);
    if (uses === 0) this.endpoints.delete(address, 32);
    if (uses === 1 && by === 1) this.endpoints.set(address, 32, 0);
  }

  // A length's bit is set before its first subnet is published and cleared after its last one is gone.
  #useLength(length: number, by: number): void {
    const uses = (this.#lengthUses[length] ?? 0) + by;
    this.#lengthUses[length] = uses;
    const cell = (length === 32 ? PeersField.lengthsHigh : PeersField.lengthsLow) / 4;
    const bit = 1 << (length & 31);
    if (uses === 0) Atomics.and(this.#cells, cell, ~bit);
    else Atomics.or(this.#cells, cell, bit);
  }

  #says(record: number, peer: Peer): boolean {
    return (
      this.#read(record, "endpointAddress") === peer.endpointAddress &&
      this.#read(record, "endpointPort") === peer.endpointPort &&
      this.#read(record, "pathMtu") === (peer.pathMtu ?? 0)
    );
  }

  #read(record: number, field: keyof typeof RecordField): number {
    return this.#view.getUint32(this.#records + record * this.#recordBytes + RecordField[field], true);
  }

  #write(record: number, peer: Peer): void {
    const at = this.#records + record * this.#recordBytes;
    const put = (field: keyof typeof RecordField, value: number): void =>
      this.#view.setUint32(at + RecordField[field], value, true);
    this.#generation = (this.#generation + 1) >>> 0;
    put("flags", 1);
    put("family", 4);
    put("prefixLength", peer.prefixLength);
    put("network", peer.network);
    put("endpointAddress", peer.endpointAddress);
    put("endpointPort", peer.endpointPort);
    put("pathMtu", peer.pathMtu ?? 0);
    put("sockaddrLength", 16);
    put("generation", this.#generation);
    this.#view.setUint16(at + RecordField.sockaddr, afInet, true);
    this.#view.setUint16(at + RecordField.sockaddr + 2, peer.endpointPort, false);
    this.#view.setUint32(at + RecordField.sockaddr + 4, peer.endpointAddress, false);
  }
}

function cannotSet(peer: Peer, why: string): RangeError {
  return new RangeError(`Cannot set peer ${dotted(peer.network)}/${peer.prefixLength}: ${why}`);
}

function requireValid(peer: Peer): void {
  const limits = {
    network: 0xffff_ffff,
    prefixLength: 32,
    endpointAddress: 0xffff_ffff,
    endpointPort: 65_535,
    pathMtu: 65_535,
  };
  for (const [name, most] of Object.entries(limits)) {
    const value = peer[name as keyof typeof limits] ?? 0;
    if (Number.isInteger(value) && value >= 0 && value <= most) continue;
    throw cannotSet(peer, `${name} is ${value}, expected an integer from 0 to ${most}`);
  }
}

function subnetKey({ network, prefixLength }: Pick<Peer, "network" | "prefixLength">): number {
  return ((network & prefixMask(prefixLength)) >>> 0) * 64 + prefixLength;
}

function dotted(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
}
