import { endpointFields, PeersField, RecordField, subnetFields } from "./layout.ts";
import { PeerIndex } from "./peer-index.ts";
import type { PeerTableWriter } from "./peer-table-writer.ts";
import { prefixMask } from "./prefix-mask.ts";

/** A peer's subnet and where its datagrams go; addresses are unsigned 32-bit numbers in host order. */
export interface Peer {
  /** Base of the subnet; host bits are cleared. */
  readonly network: number;
  /** Length of the subnet's prefix, 0 to 32. */
  readonly prefixLength: number;
  /** Outer IPv4 address. */
  readonly endpointAddress: number;
  /** Outer UDP port, 1 to 65535. */
  readonly endpointPort: number;
  /** Longest inner packet that the path takes, in bytes; 0 or absent is unknown. Stages don't read it yet. */
  readonly pathMtu?: number;
}

/** What `replaceAll` did. */
export interface PeerChanges {
  /** Subnets that are new. */
  readonly added: number;
  /** Subnets whose endpoint changed. */
  readonly changed: number;
  /** Subnets that are gone. */
  readonly removed: number;
}

/**
 * Which subnet is reached through which endpoint, in linear memory: written by the main thread, read by pumps while it
 * changes.
 *
 * Lookup is longest prefix first and costs a hash probe per prefix length in use, whatever the number of peers. A record,
 * once published, never changes: a change publishes another record, and the old one is used again only after every pump
 * has left the iteration (`PacketQueue.enter` and `leave`) in which it may have found it.
 */
export class PeerTable {
  /** Offset of the table's header in memory, for WebAssembly kernels. */
  readonly offset: number;
  /** Most subnets at once. */
  readonly capacity: number;
  readonly #cells: Uint32Array;
  readonly #words: Uint32Array;
  readonly #records: number;
  readonly #recordBytes: number;
  readonly #subnets: PeerIndex;
  readonly #endpoints: PeerIndex;
  readonly #writer: PeerTableWriter | undefined;

  /**
   * @param buffer the whole memory.
   * @param offset where the table's header lies.
   * @param writer present only for the memory's creator.
   */
  constructor(buffer: ArrayBufferLike, offset: number, writer?: PeerTableWriter) {
    this.offset = offset;
    this.#cells = new Uint32Array(buffer, offset, 32);
    this.#words = new Uint32Array(buffer);
    this.capacity = this.#cells[PeersField.capacity / 4] ?? 0;
    this.#records = this.#cells[PeersField.recordsOffset / 4] ?? 0;
    this.#recordBytes = this.#cells[PeersField.recordBytes / 4] ?? 0;
    this.#subnets = writer?.subnets ?? new PeerIndex(new Int32Array(buffer), subnetFields(offset));
    this.#endpoints = writer?.endpoints ?? new PeerIndex(new Int32Array(buffer), endpointFields(offset));
    this.#writer = writer;
  }

  /** How many subnets the table holds. */
  get size(): number {
    return Atomics.load(this.#cells, PeersField.size / 4);
  }

  /**
   * Finds the peer whose subnet holds an address; the longest prefix wins.
   *
   * In a pump, call it between `enter` and `leave` of the queue: the record stays as it is until `leave`.
   *
   * @param address IPv4 address in host order, signed or unsigned.
   * @returns number of the peer's record, or -1.
   */
  find(address: number): number {
    if (Atomics.load(this.#cells, PeersField.lengthsHigh / 4) !== 0) {
      const record = this.#subnets.find(address, 32);
      if (record >= 0) return record;
    }
    let lengths = Atomics.load(this.#cells, PeersField.lengthsLow / 4);
    while (lengths !== 0) {
      const length = 31 - Math.clz32(lengths);
      const record = this.#subnets.find(address & prefixMask(length), length);
      if (record >= 0) return record;
      lengths &= ~(1 << length);
    }
    return -1;
  }

  /** Whether an outer IPv4 address (host order) is the endpoint of some peer, with any port. */
  hasEndpoint(address: number): boolean {
    return this.#endpoints.find(address, 32) >= 0;
  }

  /** Offset of a record in memory; its fields are those of `RecordField` in the layout. */
  recordOffset(record: number): number {
    return this.#records + record * this.#recordBytes;
  }

  /** Offset of a record's ready-made `struct sockaddr_in` or `sockaddr_in6`. */
  sockaddrOffset(record: number): number {
    return this.recordOffset(record) + RecordField.sockaddr;
  }

  /** Outer IPv4 address of a record, in host order. */
  endpointAddress(record: number): number {
    return this.#words[(this.recordOffset(record) + RecordField.endpointAddress) >>> 2] ?? 0;
  }

  /** Gives what a record says, as an owned copy. */
  read(record: number): Peer {
    const field = (name: keyof typeof RecordField): number =>
      this.#words[(this.recordOffset(record) + RecordField[name]) >>> 2] ?? 0;
    return {
      network: field("network"),
      prefixLength: field("prefixLength"),
      endpointAddress: field("endpointAddress"),
      endpointPort: field("endpointPort"),
      pathMtu: field("pathMtu"),
    };
  }

  /** Gives all peers as owned copies, in no order. Main thread only. */
  list(): Peer[] {
    return Array.from(this.#subnets.entries(), ({ record }) => this.read(record));
  }

  /**
   * Adds a subnet, or changes where it is reached. Setting what is already there changes nothing. Main thread only.
   *
   * @returns "added", "changed" or "unchanged".
   * @throws RangeError for numbers out of range, when the table holds `capacity` subnets, or when pumps have stayed inside
   *   one iteration for so long that no old record is free: try again after `leave`. Nothing has changed then.
   * @throws TypeError when the memory was attached: only its creator writes.
   */
  set(peer: Peer): "added" | "changed" | "unchanged" {
    return this.#writing().set(peer);
  }

  /**
   * Takes a subnet out. Main thread only.
   *
   * @returns whether it was there.
   * @throws TypeError when the memory was attached: only its creator writes.
   */
  delete(subnet: Pick<Peer, "network" | "prefixLength">): boolean {
    return this.#writing().delete(subnet);
  }

  /**
   * Makes the table hold exactly these peers, touching only what differs; if a subnet is given twice, the last one counts.
   * Pumps go on meanwhile and may see some changes before others. Main thread only.
   *
   * @throws RangeError and TypeError as `set` does; some changes may have been made then, and calling again goes on.
   */
  replaceAll(peers: Iterable<Peer>): PeerChanges {
    return this.#writing().replaceAll(peers);
  }

  #writing(): PeerTableWriter {
    if (this.#writer !== undefined) return this.#writer;
    throw new TypeError("Cannot change peer table: the memory is attached, expected the memory's creator");
  }
}
