import type { GracePeriod } from "./grace-period.ts";
import { indexKey, ipv6Tag } from "./index-key.ts";
import { endpointFields, PeersField, subnetFields } from "./layout.ts";
import { formatPacketAddress, isPacketAddress, maskIpv6, type PacketAddress } from "./packet-address.ts";
import { type IsRight, PeerIndex } from "./peer-index.ts";
import { readPeerRecord, recordEndpoint, recordNetwork, writePeerRecord } from "./peer-record.ts";
import type { Peer, PeerChanges } from "./peer-table.ts";
import { prefixMask } from "./prefix-mask.ts";

// Some 10 microseconds each.
const CHANGES_BETWEEN_PAUSES = 8;
const PEERS_BETWEEN_PAUSES = 32;
const COMPARED_BETWEEN_PAUSES = 256;

/** What names a subnet of the table. */
type SubnetOf = Pick<Peer, "network" | "prefixLength">;

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
  /** By tag: 1 to 33 are the lengths of IPv4, then those of IPv6. */
  readonly #lengthUses: number[] = Array.from({ length: ipv6Tag + 129 }, () => 0);
  readonly #grace: GracePeriod;
  #fresh = 0;
  #free: number[] = [];
  #waiting: number[] = [];
  #retired: number[] = [];
  #generation = 0;
  /** What `replaceAll` made of the table last, one for each subnet; undefined when it has changed since. */
  #given: readonly Peer[] | undefined;

  /**
   * @param buffer the whole memory.
   * @param offset where the table's header lies.
   * @param createGrace makes a grace period over the memory's queues.
   */
  constructor(buffer: ArrayBufferLike, offset: number, createGrace: () => GracePeriod) {
    const words = new Int32Array(buffer);
    this.#view = new DataView(buffer);
    this.#cells = new Uint32Array(buffer, offset, 48);
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
    this.#given = undefined;
    requireValid(peer);
    const { prefixLength, endpointAddress } = peer;
    const network = masked(peer);
    const { word, tag } = indexKey(network, prefixLength);
    const isRight = this.#isRight(network);
    const old = this.subnets.find(word, tag, isRight);
    if (old >= 0 && this.#says(old, peer)) return "unchanged";
    if (old < 0 && this.size >= this.#capacity)
      throw cannotSet(peer, `the table is full with ${this.size} subnets`);
    const record = this.#reserve(old < 0, !this.#endpointUses.has(endpointKey(endpointAddress)))
      ? this.#take()
      : undefined;
    if (record === undefined)
      throw cannotSet(peer, "no record is free, expected pumps to leave their iteration");

    this.#generation = (this.#generation + 1) >>> 0;
    writePeerRecord(this.#view, this.#at(record), { ...peer, network }, this.#generation);
    this.#useEndpoint(endpointAddress, 1);
    if (old < 0) this.#useLength(tag, 1);
    this.subnets.set(word, tag, record, isRight);
    if (old < 0) this.#resize(1);
    else this.#retire(old);
    return old < 0 ? "added" : "changed";
  }

  /** See `PeerTable.delete`. */
  delete(subnet: SubnetOf): boolean {
    this.#given = undefined;
    const network = masked(subnet);
    const { word, tag } = indexKey(network, subnet.prefixLength);
    const isRight = this.#isRight(network);
    const record = this.subnets.find(word, tag, isRight);
    if (record < 0) return false;
    this.subnets.delete(word, tag, isRight);
    this.#useLength(tag, -1);
    this.#resize(-1);
    this.#retire(record);
    return true;
  }

  /** See `PeerTable.replaceAll`. */
  replaceAll(peers: Iterable<Peer>, pause?: () => void): PeerChanges {
    const list = [...peers];
    const before = this.#given;
    const { come, gone } =
      before === undefined ? { come: list, gone: this.#all() } : difference(before, list, pause);
    const wanted = new Map<PacketAddress, Peer>();
    let looked = 0;
    for (const peer of come) {
      if (++looked % PEERS_BETWEEN_PAUSES === 0) pause?.();
      requireValid(peer);
      wanted.set(subnetKey(peer), peer);
    }
    const changes = { added: 0, changed: 0, removed: 0, unchanged: 0 };
    // Deleting first frees room; nothing is deleted that is wanted.
    for (const subnet of gone) {
      if (++looked % PEERS_BETWEEN_PAUSES === 0) pause?.();
      if (wanted.has(subnetKey(subnet))) continue;
      this.delete(subnet);
      changes.removed++;
    }
    let sets = 0;
    for (const peer of wanted.values()) {
      changes[this.set(peer)]++;
      if (++sets % CHANGES_BETWEEN_PAUSES === 0) pause?.();
    }
    if (list.length === this.size) this.#given = list;
    // Where two name one subnet the last one counts, and the difference alone doesn't tell which that is.
    else if (before !== undefined) for (const peer of lastOfEach(list)) changes[this.set(peer)]++;
    const { added, changed, removed } = changes;
    return { added, changed, removed };
  }

  *#all(): Generator<Peer> {
    for (const { record } of this.subnets.entries()) yield readPeerRecord(this.#view, this.#at(record));
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
    this.#useEndpoint(recordEndpoint(this.#view, this.#at(record)), -1);
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

  #useEndpoint(address: PacketAddress, by: number): void {
    const key = endpointKey(address);
    const uses = (this.#endpointUses.get(key) ?? 0) + by;
    if (uses > 0) this.#endpointUses.set(key, uses);
    else this.#endpointUses.delete(key);
    const { word, tag } = indexKey(address, typeof address === "number" ? 32 : 128);
    if (uses === 0) this.endpoints.delete(word, tag);
    if (uses === 1 && by === 1) this.endpoints.set(word, tag, 0);
  }

  // A length's bit is set before its first subnet is published and cleared after its last one is gone.
  #useLength(tag: number, by: number): void {
    const uses = (this.#lengthUses[tag] ?? 0) + by;
    this.#lengthUses[tag] = uses;
    const length = tag < ipv6Tag ? tag - 1 : tag - ipv6Tag;
    const ipv4Cell = length === 32 ? PeersField.lengthsHigh : PeersField.lengthsLow;
    const cell = (tag < ipv6Tag ? ipv4Cell : PeersField.lengths6 + 4 * (length >>> 5)) / 4;
    const bit = 1 << (length & 31);
    if (uses === 0) Atomics.and(this.#cells, cell, ~bit);
    else Atomics.or(this.#cells, cell, bit);
  }

  // An IPv4 network is its own key; of an IPv6 one the record tells.
  #isRight(network: PacketAddress): IsRight | undefined {
    return typeof network === "number"
      ? undefined
      : (record) => recordNetwork(this.#view, this.#at(record)) === network;
  }

  #says(record: number, peer: Peer): boolean {
    const { endpointAddress, endpointPort, pathMtu } = readPeerRecord(this.#view, this.#at(record));
    return (
      endpointAddress === peer.endpointAddress &&
      endpointPort === peer.endpointPort &&
      pathMtu === (peer.pathMtu ?? 0)
    );
  }

  #at(record: number): number {
    return this.#records + record * this.#recordBytes;
  }
}

function cannotSet(peer: Peer, why: string): RangeError {
  return new RangeError(`Cannot set peer ${formatPacketAddress(peer.network)}/${peer.prefixLength}: ${why}`);
}

function requireValid(peer: Peer): void {
  const { network, prefixLength, endpointAddress, endpointPort, pathMtu = 0 } = peer;
  requireAddress(peer, "network", network);
  requireAddress(peer, "endpointAddress", endpointAddress);
  requireInteger(peer, "prefixLength", prefixLength, typeof network === "number" ? 32 : 128);
  requireInteger(peer, "endpointPort", endpointPort, 65_535);
  requireInteger(peer, "pathMtu", pathMtu, 65_535);
}

function requireAddress(peer: Peer, name: string, value: PacketAddress): void {
  if (isPacketAddress(value)) return;
  const expected = "expected an IPv4 address as a number or IPv6 as a bigint";
  throw cannotSet(peer, `${name} is ${value}, ${expected}`);
}

function requireInteger(peer: Peer, name: string, value: number, most: number): void {
  if (Number.isInteger(value) && value >= 0 && value <= most) return;
  throw cannotSet(peer, `${name} is ${value}, expected an integer from 0 to ${most}`);
}

function masked({ network, prefixLength }: SubnetOf): PacketAddress {
  if (typeof network === "bigint") return maskIpv6(network, prefixLength);
  return (network & prefixMask(prefixLength)) >>> 0;
}

/** By object: one that was given before says what it said then. */
function difference(
  before: readonly Peer[],
  now: readonly Peer[],
  pause?: () => void,
): { readonly come: readonly Peer[]; readonly gone: readonly Peer[] } {
  let looked = 0;
  const select = (peers: readonly Peer[], isMeant: (peer: Peer, i: number) => boolean): readonly Peer[] =>
    peers.filter((peer, i) => {
      if (++looked % COMPARED_BETWEEN_PAUSES === 0) pause?.();
      return isMeant(peer, i);
    });
  if (before.length === now.length) {
    // The usual change: some have other endpoints, in their places.
    return {
      come: select(now, (peer, i) => peer !== before[i]),
      gone: select(before, (peer, i) => peer !== now[i]),
    };
  }
  const setOf = (peers: readonly Peer[]): ReadonlySet<Peer> => {
    const set = new Set<Peer>();
    select(peers, (peer) => set.add(peer) === undefined);
    return set;
  };
  const [known, wanted] = [setOf(before), setOf(now)];
  return {
    come: select(now, (peer) => !known.has(peer)),
    gone: select(before, (peer) => !wanted.has(peer)),
  };
}

function lastOfEach(peers: readonly Peer[]): Iterable<Peer> {
  return new Map(peers.map((peer) => [subnetKey(peer), peer])).values();
}

// As a key of a Map.
function subnetKey(subnet: SubnetOf): PacketAddress {
  const network = masked(subnet);
  if (typeof network === "number") return network * 64 + subnet.prefixLength;
  return network * 256n + BigInt(subnet.prefixLength);
}

// Endpoints that share an entry of the index share a count of uses: an IPv4 address is at least 0, an IPv6 one is below.
function endpointKey(address: PacketAddress): number {
  return typeof address === "number" ? address : -1 - (indexKey(address, 128).word >>> 0);
}
