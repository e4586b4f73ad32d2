/**
 * Where everything lies in a packet memory. All numbers are byte offsets, all fields little-endian.
 *
 * Nothing here depends on JavaScript objects: a WebAssembly kernel that knows the offset of a batch header (or of the
 * memory header) finds every column through the offsets stored there. The kernels' source takes these numbers from
 * `assembly/layout.ts`, which `assembly/build.ts` writes from this page.
 *
 *     0        4,096 bytes left to WebAssembly kernels for constants
 *     4096     memory header       64 B   magic, version, size, where the parts are
 *     4160     local node          64 B   own subnets, tunnel addresses, MTU
 *     4224     peer table header   192 B  then records and indexes at the end of the memory
 *              per queue: queue header, three batches, each with
 *                header                       128 B (192 with room to grow)
 *                columns                      one entry per packet; more entries than slots, because a slot can hold a train
 *                receiving scratch            message, iovec, name and control of each slot
 *                sending scratch              segments, their headers (the arena), messages, iovecs, control messages
 *                frame scratch                header and iovecs of the one frame that is being written to the TUN device
 *                slots                        HEADROOM and the packet, super-packet or train of each
 */

/** Bytes before each slot's packet: room for encapsulation headers and the virtio header. A multiple of 64. */
export const HEADROOM = 64;

/** First word of the memory header: "LDNP". */
export const memoryMagic = 0x504e_444c;
/** Version of the layout on this page. */
export const layoutVersion = 3;

/** Offset of the memory header. */
export const memoryHeaderOffset = 4096;
/** Fields of the memory header (u32 each), relative to it. */
export const MemoryField = {
  magic: 0,
  version: 4,
  byteLength: 8,
  queues: 12,
  queuesOffset: 16,
  queueStride: 20,
  localOffset: 24,
  peersOffset: 28,
  /** Absolute address of the memory (u64), for what system calls read; 0 until somebody needs it. */
  address: 32,
} as const;

/** Offset of the local node. */
export const localOffset = 4160;
/** Fields of the local node, relative to it: u32 each, but `network6` and `address6` have 16 bytes in network order. */
export const LocalField = {
  network: 0,
  prefixLength: 4,
  address: 8,
  mtu: 12,
  prefixLength6: 16,
  network6: 32,
  address6: 48,
} as const;

/** Offset of the peer table header. */
export const peersOffset = 4224;
/**
 * Fields of the peer table header (u32 each), relative to it. Each index has two generations: `…0` and `…1` are their
 * offsets, `…Current` (0 or 1) says which one readers use. `lengths…` have a bit for each prefix length in use: 0 to 31 and
 * 32 of IPv4, and five words for 0 to 128 of IPv6.
 */
export const PeersField = {
  capacity: 0,
  recordsOffset: 4,
  recordCount: 8,
  recordBytes: 12,
  size: 16,
  lengthsLow: 20,
  lengthsHigh: 24,
  subnetsBits: 32,
  subnetsCurrent: 36,
  subnets0: 40,
  subnets1: 44,
  endpointsBits: 64,
  endpointsCurrent: 68,
  endpoints0: 72,
  endpoints1: 76,
  lengths6: 96,
} as const;
/** Where the index of subnets keeps its header fields, for the peer table at `offset`. */
export function subnetFields(offset: number): IndexFields {
  return {
    bits: offset + PeersField.subnetsBits,
    current: offset + PeersField.subnetsCurrent,
    generations: [offset + PeersField.subnets0, offset + PeersField.subnets1],
  };
}
/** Where the index of outer addresses keeps its header fields, for the peer table at `offset`. */
export function endpointFields(offset: number): IndexFields {
  return {
    bits: offset + PeersField.endpointsBits,
    current: offset + PeersField.endpointsCurrent,
    generations: [offset + PeersField.endpoints0, offset + PeersField.endpoints1],
  };
}
/** Where an index keeps its header fields, as offsets in memory. */
export interface IndexFields {
  readonly bits: number;
  readonly current: number;
  readonly generations: readonly [number, number];
}

/** Bytes of the peer table header. */
export const peersHeaderBytes = 192;

/** Bytes of one peer record. */
export const recordBytes = 96;
/**
 * Fields of a peer record, relative to it. `family` is that of the subnet: 4 with its base in `network` (in host order), or 6
 * with its base in `network6` (16 bytes in network order). `sockaddr` is a ready-made `struct sockaddr_in` or `sockaddr_in6`.
 */
export const RecordField = {
  flags: 0,
  family: 4,
  prefixLength: 8,
  network: 12,
  network6: 16,
  pathMtu: 40,
  sockaddrLength: 44,
  sockaddr: 48,
  generation: 80,
} as const;

/** Bytes of a queue header. */
export const queueHeaderBytes = 2048;
/**
 * Fields of a queue header, relative to it: the epoch (u32) has a cache line of its own; `limiter` and `counters` are
 * float64 cells; `scratch` is 256 bytes for the pump's own system calls (pollfd and the like); `outbound`, `inbound` and
 * `replies` hold the offsets of the batch headers.
 */
export const QueueField = {
  epoch: 0,
  outbound: 64,
  inbound: 68,
  replies: 72,
  limiter: 128,
  counters: 256,
  scratch: 1792,
} as const;
/** Bytes of a queue's scratch area. */
export const scratchBytes = 256;

/** Float64 cells of the limiter, relative to it. */
export const LimiterField = {
  tokens: 0,
  lastMs: 8,
  perSecond: 16,
  burst: 24,
  sent: 32,
  suppressed: 40,
} as const;

/** Float64 cells of one direction's counters, relative to it; `dropped` is followed by one cell per verdict. */
export const CounterField = { packets: 0, bytes: 8, dropped: 16 } as const;
/** Bytes of one direction's counters. */
export const counterBytes = 512;

/** Bytes of a batch header. */
export const batchHeaderBytes = 192;
/**
 * Fields of a batch header (u32 each), relative to it; names that end in `Offset` are absolute.
 *
 * `capacity` counts slots, `entries` the entries of the columns. `frame…` are the state of writing a batch to a TUN device:
 * `frameNext` is the next packet to write, the last frame joined `framePackets` packets of `frameFirst` up to `frameNext`.
 * `touched` takes what kernels that read ahead have read; it means nothing.
 */
export const BatchField = {
  capacity: 0,
  slotBytes: 4,
  count: 8,
  offsetsOffset: 12,
  lengthsOffset: 16,
  verdictsOffset: 20,
  peersOffset: 24,
  endpointsOffset: 28,
  iovecsOffset: 32,
  iovecCount: 36,
  messagesOffset: 40,
  namesOffset: 44,
  controlOffset: 48,
  slotsOffset: 52,
  direction: 56,
  entries: 60,
  virtioOffset: 64,
  partsOffset: 68,
  wireBytesOffset: 72,
  segmentCapacity: 76,
  segmentCount: 80,
  segmentsOffset: 84,
  arenaOffset: 88,
  sendMessagesOffset: 92,
  sendIovecsOffset: 96,
  sendControlOffset: 100,
  groupsOffset: 104,
  frameIovecsOffset: 108,
  frameHeaderOffset: 112,
  frameFirst: 116,
  frameNext: 120,
  framePackets: 124,
  touched: 128,
} as const;

/** Bytes of the parts of a batch that system calls use. */
export const scratch = { iovec: 16, message: 64, name: 32, control: 64, sendControl: 32 } as const;

/** Bytes of one segment of the sending scratch. */
export const segmentBytes = 32;
/**
 * Fields of a segment (u32 each), relative to it: one packet as it goes on the wire, in two pieces. `payloadLength` is 0 when
 * all of it is in the first piece. `packet` is the index of the packet that it was cut from.
 */
export const SegmentField = {
  header: 0,
  headerLength: 4,
  payload: 8,
  payloadLength: 12,
  packet: 16,
} as const;
/** Bytes of the arena for each segment's header: HEADROOM for encapsulation, then the header. */
export const arenaBytes = 256;
/** Most iovecs of one system call (UIO_MAXIOV of the kernel). */
export const frameIovecs = 1024;
/** Packets that one slot can hold: the most segments of a UDP_SEGMENT message (UDP_MAX_SEGMENTS of the kernel). */
export const packetsPerSlot = 128;
/** Bytes of `struct virtio_net_hdr`, which lies before a packet that comes from a TUN device with offloads. */
export const virtioBytes = 10;

/** What a packet memory is made for. */
export interface PacketMemoryOptions {
  /** Pumps that work on this memory, each with its own batches; default 1, at most 64. */
  readonly queues?: number;
  /** Packets per batch, 1 to 1,024; default 64. */
  readonly batch?: number;
  /** Bytes per slot with its headroom, a multiple of 64; default 65,536 + HEADROOM, so that any IPv4 packet fits. */
  readonly slotBytes?: number;
  /** Bytes per slot of the replies batch; default 1,280 + HEADROOM. */
  readonly replySlotBytes?: number;
  /** iovecs per slot in each batch's scratch; default 2. */
  readonly iovecsPerSlot?: number;
  /** Segments that the outbound batch can be cut into at once, 64 to 65,536; default 2,048. */
  readonly segments?: number;
  /** Most subnets that the peer table holds at once, at most 2^20; default 65,536. */
  readonly peers?: number;
}

/** Every option with its value. */
export type PacketMemoryShape = Required<PacketMemoryOptions>;

/** Fills in the defaults. Throws RangeError for a number out of range. */
export function resolveShape(options: PacketMemoryOptions): PacketMemoryShape {
  const shape = {
    queues: 1,
    batch: 64,
    slotBytes: 65_536 + HEADROOM,
    replySlotBytes: 1280 + HEADROOM,
    iovecsPerSlot: 2,
    segments: 2048,
    peers: 65_536,
    ...options,
  };
  requireWithin("queues", shape.queues, 1, 64);
  requireWithin("batch", shape.batch, 1, 1024);
  requireWithin("slotBytes", shape.slotBytes, 2 * HEADROOM, 2 ** 20, 64);
  requireWithin("replySlotBytes", shape.replySlotBytes, 3 * HEADROOM, 2 ** 20, 64);
  requireWithin("iovecsPerSlot", shape.iovecsPerSlot, 1, 256);
  requireWithin("segments", shape.segments, 64, 65_536);
  requireWithin("peers", shape.peers, 1, 2 ** 20);
  return shape;
}

/** Rounds up to a multiple of 64, a cache line. */
export function align(offset: number): number {
  return Math.ceil(offset / 64) * 64;
}

function requireWithin(name: string, value: number, least: number, most: number, multiple = 1): void {
  if (Number.isInteger(value) && value >= least && value <= most && value % multiple === 0) return;
  const what = multiple === 1 ? "an integer" : `a multiple of ${multiple}`;
  throw new RangeError(
    `Cannot create packet memory: ${name} is ${value}, expected ${what} from ${least} to ${most}`,
  );
}
