import { align, BatchField, batchHeaderBytes, HEADROOM, scratch } from "./layout.ts";

/** Which way a batch's packets go: numbers as stored in the batch header. */
export const Direction = {
  /** From the TUN device to a peer. */
  outbound: 0,
  /** From a peer to the TUN device. */
  inbound: 1,
  /** ICMP errors made here; where they go depends on the batch that caused them. */
  replies: 2,
} as const;
/** One of the numbers of {@link Direction}. */
export type Direction = (typeof Direction)[keyof typeof Direction];

/**
 * Up to `capacity` packets in linear memory, as columns: entry `i` of each column tells about packet `i`, and only the
 * first `count` entries mean anything.
 *
 * A batch is a view: it owns nothing, and two objects over one header see the same packets. Whoever fills a batch sets
 * `count`, `offsets`, `lengths` and `verdicts` of all its packets (and `endpoints` of received ones); stages read and
 * change them in place. Contents hold until the batch is filled again.
 */
export class PacketBatch {
  /** Offset of the batch header in memory: the one number that a WebAssembly kernel needs. */
  readonly headerOffset: number;
  /** Most packets that fit. */
  readonly capacity: number;
  /** Bytes of each slot, headroom and packet together. */
  readonly slotBytes: number;
  /** Which way the packets go. */
  readonly direction: Direction;
  /** Where each packet starts, as an offset into `bytes`. */
  readonly offsets: Uint32Array;
  /** Length of each packet in bytes. */
  readonly lengths: Uint32Array;
  /** What became of each packet: see `Verdict`. 0 is pass. */
  readonly verdicts: Uint32Array;
  /** Index of the peer's record, or -1. Set by `routeToPeers` and `checkSenders`. */
  readonly peers: Int32Array;
  /**
   * Offset of a `struct sockaddr_in` or `sockaddr_in6`, 0 for none. Outbound: where to send. Inbound: who sent, and once
   * `checkSenders` has let the packet pass, where that peer is reached.
   */
  readonly endpoints: Uint32Array;
  /** Scratch for system calls, 16 bytes each, `iovecCount` of them. */
  readonly iovecsOffset: number;
  /** How many iovecs there is room for. */
  readonly iovecCount: number;
  /** Scratch for system calls: `struct mmsghdr`, 64 bytes each, `capacity` of them. */
  readonly messagesOffset: number;
  /** Scratch for system calls: socket addresses, 32 bytes each, `capacity` of them. */
  readonly namesOffset: number;
  /** Scratch for system calls: control messages, 64 bytes each, `capacity` of them. */
  readonly controlOffset: number;
  /** The whole memory. */
  readonly bytes: Uint8Array;
  /** The whole memory. */
  readonly view: DataView;
  readonly #header: Uint32Array;
  readonly #slotsOffset: number;

  /**
   * @param bytes the whole memory.
   * @param view the same memory.
   * @param headerOffset where `layBatch` wrote the header.
   */
  constructor(bytes: Uint8Array, view: DataView, headerOffset: number) {
    const header = new Uint32Array(bytes.buffer, headerOffset, batchHeaderBytes / 4);
    const field = (name: keyof typeof BatchField): number => header[BatchField[name] / 4] ?? 0;
    const capacity = field("capacity");
    this.headerOffset = headerOffset;
    this.capacity = capacity;
    this.slotBytes = field("slotBytes");
    this.direction = field("direction") as Direction;
    this.offsets = new Uint32Array(bytes.buffer, field("offsetsOffset"), capacity);
    this.lengths = new Uint32Array(bytes.buffer, field("lengthsOffset"), capacity);
    this.verdicts = new Uint32Array(bytes.buffer, field("verdictsOffset"), capacity);
    this.peers = new Int32Array(bytes.buffer, field("peersOffset"), capacity);
    this.endpoints = new Uint32Array(bytes.buffer, field("endpointsOffset"), capacity);
    this.iovecsOffset = field("iovecsOffset");
    this.iovecCount = field("iovecCount");
    this.messagesOffset = field("messagesOffset");
    this.namesOffset = field("namesOffset");
    this.controlOffset = field("controlOffset");
    this.bytes = bytes;
    this.view = view;
    this.#header = header;
    this.#slotsOffset = field("slotsOffset");
  }

  /** How many packets the batch holds; lives in memory. Setting it checks nothing: 0 to `capacity`. */
  get count(): number {
    return this.#header[BatchField.count / 4] ?? 0;
  }

  set count(value: number) {
    this.#header[BatchField.count / 4] = value;
  }

  /**
   * Offset of the buffer of slot `i`, after its headroom: where a packet is read or received into. `slotBytes - HEADROOM`
   * bytes fit, and the HEADROOM bytes before it belong to the slot as well.
   */
  slot(i: number): number {
    return this.#slotsOffset + i * this.slotBytes + HEADROOM;
  }

  /**
   * Adds a packet by copying it into the next slot, with verdict pass, no peer and no endpoint: for tests and tools.
   *
   * @param packet the packet's bytes.
   * @returns the packet's index.
   * @throws RangeError when the batch is full or the packet longer than a slot.
   */
  add(packet: Uint8Array): number {
    const i = this.count;
    if (i >= this.capacity) throw new RangeError(`Cannot add packet: the batch is full with ${i} packets`);
    if (packet.length > this.slotBytes - HEADROOM) {
      throw new RangeError(
        `Cannot add packet: it has ${packet.length} bytes, expected at most ${this.slotBytes - HEADROOM}`,
      );
    }
    this.bytes.set(packet, this.slot(i));
    this.offsets[i] = this.slot(i);
    this.lengths[i] = packet.length;
    this.verdicts[i] = 0;
    this.peers[i] = -1;
    this.endpoints[i] = 0;
    this.count = i + 1;
    return i;
  }

  /**
   * Gives the bytes of packet `i`, borrowed: they change when the batch is filled again.
   */
  packet(i: number): Uint8Array {
    const start = this.offsets[i] ?? 0;
    return this.bytes.subarray(start, start + (this.lengths[i] ?? 0));
  }
}

/** What a batch is laid out for. */
export interface BatchShape {
  readonly capacity: number;
  readonly slotBytes: number;
  readonly iovecsPerSlot: number;
  readonly direction: Direction;
}

/** Gives the bytes that a batch takes: header, columns, scratch, slots. */
export function batchBytes(shape: BatchShape): number {
  return place(0, shape).end;
}

/** Writes a batch header at `headerOffset` (a multiple of 64); the batch takes `batchBytes(shape)` from there. */
export function layBatch(view: DataView, headerOffset: number, shape: BatchShape): void {
  const { end: _, ...fields } = place(headerOffset, shape);
  for (const [name, value] of Object.entries(fields)) {
    view.setUint32(headerOffset + BatchField[name as keyof typeof fields], value, true);
  }
}

function place(start: number, { capacity, slotBytes, iovecsPerSlot, direction }: BatchShape) {
  let end = start + batchHeaderBytes;
  const take = (bytes: number): number => {
    const at = end;
    end = align(end + bytes);
    return at;
  };
  const iovecCount = capacity * iovecsPerSlot;
  const fields = {
    capacity,
    slotBytes,
    count: 0,
    offsetsOffset: take(capacity * 4),
    lengthsOffset: take(capacity * 4),
    verdictsOffset: take(capacity * 4),
    peersOffset: take(capacity * 4),
    endpointsOffset: take(capacity * 4),
    iovecsOffset: take(iovecCount * scratch.iovec),
    iovecCount,
    messagesOffset: take(capacity * scratch.message),
    namesOffset: take(capacity * scratch.name),
    controlOffset: take(capacity * scratch.control),
    slotsOffset: take(capacity * slotBytes),
    direction,
  };
  return { ...fields, end };
}
