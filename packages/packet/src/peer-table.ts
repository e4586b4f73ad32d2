import { foldIpv6, indexKey, ipv6Tag } from "./index-key.ts";
import { endpointFields, PeersField, RecordField, subnetFields } from "./layout.ts";
import { maskIpv6, type PacketAddress } from "./packet-address.ts";
import { PeerIndex } from "./peer-index.ts";
import { readPeerRecord, recordEndpoint, recordNetwork } from "./peer-record.ts";
import type { PeerTableWriter } from "./peer-table-writer.ts";
import { prefixMask } from "./prefix-mask.ts";

/** A peer's subnet and where its datagrams go; the families of the two are independent. */
export interface Peer {
  /** Base of the subnet; host bits are cleared. */
  readonly network: PacketAddress;
  /** Length of the subnet's prefix, 0 to 32 or 128. */
  readonly prefixLength: number;
  /** Outer address. */
  readonly endpointAddress: PacketAddress;
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
 * changes. Subnets of both families share the table.
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
  readonly #view: DataView;
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
    this.#cells = new Uint32Array(buffer, offset, 48);
    this.#view = new DataView(buffer);
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
   * @param address the address; of an IPv4 one, the sign doesn't matter.
   * @returns number of the peer's record, or -1.
   */
  find(address: PacketAddress): number {
    if (typeof address === "bigint") return this.#findIpv6(address);
    if (Atomics.load(this.#cells, PeersField.lengthsHigh / 4) !== 0) {
      const record = this.#subnets.find(address, 33);
      if (record >= 0) return record;
    }
    let lengths = Atomics.load(this.#cells, PeersField.lengthsLow / 4);
    while (lengths !== 0) {
      const length = 31 - Math.clz32(lengths);
      const record = this.#subnets.find(address & prefixMask(length), length + 1);
      if (record >= 0) return record;
      lengths &= ~(1 << length);
    }
    return -1;
  }

  #findIpv6(address: bigint): number {
    for (let word = 4; word >= 0; word--) {
      let lengths = Atomics.load(this.#cells, PeersField.lengths6 / 4 + word);
      while (lengths !== 0) {
        const bit = 31 - Math.clz32(lengths);
        const network = maskIpv6(address, 32 * word + bit);
        const tag = ipv6Tag + 32 * word + bit;
        const isRight = (found: number): boolean =>
          recordNetwork(this.#view, this.recordOffset(found)) === network;
        const record = this.#subnets.find(foldIpv6(network), tag, isRight);
        if (record >= 0) return record;
        lengths &= ~(1 << bit);
      }
    }
    return -1;
  }

  /**
   * Whether an outer address is the endpoint of some peer, with any port. It decides how a drop is named, and nothing else; of
   * IPv6 addresses a hash is compared, so that one stranger in 2^32 is taken for a peer.
   */
  hasEndpoint(address: PacketAddress): boolean {
    const { word, tag } = indexKey(address, typeof address === "number" ? 32 : 128);
    return this.#endpoints.find(word, tag) >= 0;
  }

  /** Offset of a record in memory; its fields are those of `RecordField` in the layout. */
  recordOffset(record: number): number {
    return this.#records + record * this.#recordBytes;
  }

  /** Offset of a record's ready-made `struct sockaddr_in` or `sockaddr_in6`. */
  sockaddrOffset(record: number): number {
    return this.recordOffset(record) + RecordField.sockaddr;
  }

  /** Outer address of a record. */
  endpointAddress(record: number): PacketAddress {
    return recordEndpoint(this.#view, this.recordOffset(record));
  }

  /** Gives what a record says, as an owned copy. */
  read(record: number): Peer {
    return readPeerRecord(this.#view, this.recordOffset(record));
  }

  /** Gives all peers as owned copies, in no order. Main thread only. */
  list(): Peer[] {
    return Array.from(this.#subnets.entries(), ({ record }) => this.read(record));
  }

  /**
   * Adds a subnet, or changes where it is reached. Setting what is already there changes nothing. Main thread only.
   *
   * @returns "added", "changed" or "unchanged".
   * @throws {RangeError} for numbers out of range, when the table holds `capacity` subnets, or when pumps have stayed inside
   *   one iteration for so long that no old record is free: try again after `leave`. Nothing has changed then.
   * @throws {TypeError} when the memory was attached: only its creator writes.
   */
  set(peer: Peer): "added" | "changed" | "unchanged" {
    return this.#writing().set(peer);
  }

  /**
   * Takes a subnet out. Main thread only.
   *
   * @returns whether it was there.
   * @throws {TypeError} when the memory was attached: only its creator writes.
   */
  delete(subnet: Pick<Peer, "network" | "prefixLength">): boolean {
    return this.#writing().delete(subnet);
  }

  /**
   * Makes the table hold exactly these peers, touching only what differs; if a subnet is given twice, the last one counts.
   * Pumps go on meanwhile and may see some changes before others. Main thread only.
   *
   * @param pause is called now and then, when a pump that waits for this processor may go first.
   * @throws {RangeError | TypeError} as `set` does; some changes may have been made then, and calling again goes on.
   */
  replaceAll(peers: Iterable<Peer>, pause?: () => void): PeerChanges {
    return this.#writing().replaceAll(peers, pause);
  }

  #writing(): PeerTableWriter {
    if (this.#writer !== undefined) return this.#writer;
    throw new TypeError("Cannot change peer table: the memory is attached, expected the memory's creator");
  }
}
