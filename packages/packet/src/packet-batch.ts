import {
  align,
  arenaBytes,
  BatchField,
  batchHeaderBytes,
  frameIovecs,
  HEADROOM,
  packetsPerSlot,
  scratch,
  segmentBytes,
  SegmentField,
} from "./layout.ts";

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
 * Words of a segment in {@link PacketBatch.segments}: where its first piece lies and how long it is, the same of its payload
 * (length 0 when all is in the first piece), and which packet it was cut from. `count` is how many words each segment has.
 */
export const SegmentWord: {
  readonly header: number;
  readonly headerLength: number;
  readonly payload: number;
  readonly payloadLength: number;
  readonly packet: number;
  readonly count: number;
} = {
  header: SegmentField.header / 4,
  headerLength: SegmentField.headerLength / 4,
  payload: SegmentField.payload / 4,
  payloadLength: SegmentField.payloadLength / 4,
  packet: SegmentField.packet / 4,
  count: segmentBytes / 4,
};

/**
 * Packets in linear memory, as columns: entry `i` of each column tells about packet `i`, and only the first `count` entries
 * mean anything. The bytes lie in `capacity` slots. A slot usually holds one packet; a received one can hold a train, several
 * datagrams of one size from one sender, which become an entry each. That is why there are more entries than slots.
 *
 * A batch is a view: it owns nothing, and two objects over one header see the same packets. Whoever fills a batch sets
 * `count`, `offsets`, `lengths` and `verdicts` of all its packets (and `endpoints` of received ones); stages read and
 * change them in place. Contents hold until the batch is filled again.
 */
export class PacketBatch {
  /** Offset of the batch header in memory: the one number that a WebAssembly kernel needs. */
  readonly headerOffset: number;
  /** How many slots there are. */
  readonly capacity: number;
  /** Most packets: how many entries the columns have. */
  readonly entries: number;
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
  /**
   * Offset of the `struct virtio_net_hdr` that says how a packet is to be finished: its checksum to be filled in, or it is a
   * super-packet to be cut. 0 for a packet that is finished.
   */
  readonly virtio: Uint32Array;
  /** How many packets on the wire a packet was cut into; 0 where nobody cut. Set by `segmentPackets`. */
  readonly parts: Uint32Array;
  /** Bytes of those packets together. Set by `segmentPackets`. */
  readonly wireBytes: Uint32Array;
  /** What `segmentPackets` cut, `SegmentWord.count` words each. */
  readonly segments: Uint32Array;
  /** Most segments at once. */
  readonly segmentCapacity: number;
  /** Scratch of sending: `struct mmsghdr`, 64 bytes each, one for each segment. */
  readonly sendMessagesOffset: number;
  /** Scratch of sending: the first segment of each message, and one more for the end. */
  readonly groups: Uint32Array;
  /** Scratch of writing: the iovecs of one frame. */
  readonly frameIovecsOffset: number;
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
    const entries = field("entries");
    this.headerOffset = headerOffset;
    this.capacity = field("capacity");
    this.entries = entries;
    this.slotBytes = field("slotBytes");
    this.direction = field("direction") as Direction;
    this.offsets = new Uint32Array(bytes.buffer, field("offsetsOffset"), entries);
    this.lengths = new Uint32Array(bytes.buffer, field("lengthsOffset"), entries);
    this.verdicts = new Uint32Array(bytes.buffer, field("verdictsOffset"), entries);
    this.peers = new Int32Array(bytes.buffer, field("peersOffset"), entries);
    this.endpoints = new Uint32Array(bytes.buffer, field("endpointsOffset"), entries);
    this.virtio = new Uint32Array(bytes.buffer, field("virtioOffset"), entries);
    this.parts = new Uint32Array(bytes.buffer, field("partsOffset"), entries);
    this.wireBytes = new Uint32Array(bytes.buffer, field("wireBytesOffset"), entries);
    this.segmentCapacity = field("segmentCapacity");
    this.segments = new Uint32Array(
      bytes.buffer,
      field("segmentsOffset"),
      (this.segmentCapacity * segmentBytes) / 4,
    );
    this.sendMessagesOffset = field("sendMessagesOffset");
    this.groups = new Uint32Array(bytes.buffer, field("groupsOffset"), this.segmentCapacity + 1);
    this.frameIovecsOffset = field("frameIovecsOffset");
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

  /** How many packets the batch holds; lives in memory. Setting it checks nothing: 0 to `entries`. */
  get count(): number {
    return this.#header[BatchField.count / 4] ?? 0;
  }

  set count(value: number) {
    this.#header[BatchField.count / 4] = value;
  }

  /** How many segments `segmentPackets` cut; lives in memory. */
  get segmentCount(): number {
    return this.#header[BatchField.segmentCount / 4] ?? 0;
  }

  /** Where writing the batch goes on: the first packet that no frame has taken yet. Lives in memory. */
  get frameNext(): number {
    return this.#header[BatchField.frameNext / 4] ?? 0;
  }

  set frameNext(value: number) {
    this.#header[BatchField.frameNext / 4] = value;
  }

  /** The first packet of the frame that `nextFrame` made last. Lives in memory. */
  get frameFirst(): number {
    return this.#header[BatchField.frameFirst / 4] ?? 0;
  }

  /** How many packets the frame that `nextFrame` made last has. Lives in memory. */
  get framePackets(): number {
    return this.#header[BatchField.framePackets / 4] ?? 0;
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
   * @throws {RangeError} when the batch is full or the packet longer than a slot.
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
    return this.append(packet.length);
  }

  /**
   * Adds the packet that was written into the next slot, with verdict pass, no peer and no endpoint. Checks nothing.
   *
   * @param length of the packet in bytes.
   * @returns the packet's index.
   */
  append(length: number): number {
    const i = this.count;
    this.offsets[i] = this.slot(i);
    this.lengths[i] = length;
    this.verdicts[i] = 0;
    this.peers[i] = -1;
    this.endpoints[i] = 0;
    this.virtio[i] = 0;
    this.parts[i] = 0;
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
  readonly segmentCapacity: number;
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

function place(start: number, shape: BatchShape) {
  const { capacity, slotBytes, iovecsPerSlot, segmentCapacity, direction } = shape;
  let end = start + batchHeaderBytes;
  const take = (bytes: number): number => {
    const at = end;
    end = align(end + bytes);
    return at;
  };
  const iovecCount = capacity * iovecsPerSlot;
  const entries = direction === Direction.inbound ? capacity * packetsPerSlot : capacity;
  const fields = {
    capacity,
    slotBytes,
    count: 0,
    offsetsOffset: take(entries * 4),
    lengthsOffset: take(entries * 4),
    verdictsOffset: take(entries * 4),
    peersOffset: take(entries * 4),
    endpointsOffset: take(entries * 4),
    iovecsOffset: take(iovecCount * scratch.iovec),
    iovecCount,
    messagesOffset: take(capacity * scratch.message),
    namesOffset: take(capacity * scratch.name),
    controlOffset: take(capacity * scratch.control),
    entries,
    virtioOffset: take(entries * 4),
    partsOffset: take(entries * 4),
    wireBytesOffset: take(entries * 4),
    segmentCapacity,
    segmentCount: 0,
    segmentsOffset: take(segmentCapacity * segmentBytes),
    arenaOffset: take(segmentCapacity * arenaBytes),
    sendMessagesOffset: take(segmentCapacity * scratch.message),
    sendIovecsOffset: take(segmentCapacity * 2 * scratch.iovec),
    sendControlOffset: take(segmentCapacity * scratch.sendControl),
    groupsOffset: take((segmentCapacity + 1) * 4),
    frameIovecsOffset: take(frameIovecs * scratch.iovec),
    frameHeaderOffset: take(arenaBytes),
    frameFirst: 0,
    frameNext: 0,
    framePackets: 0,
    slotsOffset: take(capacity * slotBytes),
    direction,
  };
  return { ...fields, end };
}
