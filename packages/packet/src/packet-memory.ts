import { GracePeriod } from "./grace-period.ts";
import {
  align,
  layoutVersion,
  localOffset,
  MemoryField,
  memoryHeaderOffset,
  memoryMagic,
  type PacketMemoryOptions,
  type PacketMemoryShape,
  PeersField,
  peersHeaderBytes,
  peersOffset,
  QueueField,
  queueHeaderBytes,
  recordBytes,
  resolveShape,
} from "./layout.ts";
import { createLinearMemory, type LinearMemory } from "./linear-memory.ts";
import { LocalNode } from "./local-node.ts";
import { type BatchShape, batchBytes, Direction, layBatch } from "./packet-batch.ts";
import { PacketQueue } from "./packet-queue.ts";
import { PeerTable } from "./peer-table.ts";
import { PeerTableWriter } from "./peer-table-writer.ts";

/** What a worker needs to attach to a packet memory; can be posted to it as it is. */
export interface SharedPacketMemory {
  /** The memory itself; everything else is written in its header. */
  readonly memory: LinearMemory;
}

/** One linear memory with everything that pumps work on. */
export interface PacketMemory {
  /** The shared memory of fixed size. Keep it as long as anybody knows its address. */
  readonly memory: LinearMemory;
  /** All of it. */
  readonly bytes: Uint8Array;
  /** All of it. */
  readonly view: DataView;
  /** One for each pump. */
  readonly queues: readonly PacketQueue[];
  /** Which subnet is reached through which endpoint. */
  readonly peers: PeerTable;
  /** Our own subnet, tunnel address and MTU. */
  readonly local: LocalNode;
  /** Gives what `attachPacketMemory` needs in a worker. */
  shared(): SharedPacketMemory;
}

/**
 * Creates a packet memory: batches, counters and epochs for each queue, the peer table, the local node.
 *
 * The thread that creates it is the only one that may change peers and local node. Nothing needs closing: the memory goes
 * when nobody holds it.
 *
 * @param options sizes; the defaults take 24 MiB of address space with one queue, and pages are used as touched.
 * @throws {RangeError} when an option is out of range, or the sum is larger than 4 GiB.
 *
 * @example
 * ```ts
 * const memory = createPacketMemory({ peers: 256 });
 * memory.peers.set({ network: 0x0a056300, prefixLength: 24, endpointAddress: 0xc0a80002, endpointPort: 8285 });
 * ```
 */
export function createPacketMemory(options: PacketMemoryOptions = {}): PacketMemory {
  const shape = resolveShape(options);
  const plan = planMemory(shape);
  const memory = createLinearMemory(plan.end);
  writeHeaders(new DataView(memory.buffer), shape, plan);
  const createGrace = (): GracePeriod =>
    new GracePeriod(memory.buffer, shape.queues, plan.queuesOffset, plan.queueStride);
  const created = viewMemory(memory, new PeerTableWriter(memory.buffer, peersOffset, createGrace));
  for (const queue of created.queues) queue.limiter.configure();
  return created;
}

/**
 * Attaches to a packet memory that another thread created: the same batches, counters and peers, read-only peers.
 *
 * @param shared what `PacketMemory.shared` gave, posted from the creator.
 * @throws {TypeError} when it isn't a packet memory, or one of another version of this package.
 */
export function attachPacketMemory(shared: SharedPacketMemory): PacketMemory {
  const { buffer } = shared.memory;
  const at = memoryHeaderOffset;
  const view = new DataView(buffer);
  if (buffer.byteLength < at + 64 || view.getUint32(at + MemoryField.magic, true) !== memoryMagic) {
    throw new TypeError(
      "Cannot attach packet memory: its header is missing, expected a memory of createPacketMemory",
    );
  }
  const version = view.getUint32(at + MemoryField.version, true);
  if (version !== layoutVersion) {
    throw new TypeError(
      `Cannot attach packet memory: its layout is version ${version}, expected ${layoutVersion}`,
    );
  }
  return viewMemory(shared.memory);
}

function viewMemory(memory: LinearMemory, writer?: PeerTableWriter): PacketMemory {
  const bytes = new Uint8Array(memory.buffer);
  const view = new DataView(memory.buffer);
  const field = (name: keyof typeof MemoryField): number =>
    view.getUint32(memoryHeaderOffset + MemoryField[name], true);
  const queues = Array.from(
    { length: field("queues") },
    (_, i) => new PacketQueue(bytes, view, i, field("queuesOffset") + i * field("queueStride")),
  );
  const peers = new PeerTable(memory.buffer, field("peersOffset"), writer);
  const local = new LocalNode(memory.buffer, field("localOffset"));
  return { memory, bytes, view, queues, peers, local, shared: () => ({ memory }) };
}

interface Plan {
  readonly queuesOffset: number;
  readonly queueStride: number;
  readonly batches: readonly {
    readonly field: number;
    readonly offset: number;
    readonly shape: BatchShape;
  }[];
  readonly recordsOffset: number;
  readonly recordCount: number;
  readonly indexBits: number;
  readonly indexes: readonly number[];
  readonly end: number;
}

function planMemory(shape: PacketMemoryShape): Plan {
  const { batch: capacity, slotBytes, replySlotBytes, iovecsPerSlot } = shape;
  // Only what comes from the TUN device is cut.
  const segmentCapacity = Math.max(shape.segments, capacity);
  const wanted = [
    {
      field: QueueField.outbound,
      shape: { capacity, slotBytes, iovecsPerSlot, segmentCapacity, direction: Direction.outbound },
    },
    {
      field: QueueField.inbound,
      shape: { capacity, slotBytes, iovecsPerSlot, segmentCapacity: capacity, direction: Direction.inbound },
    },
    {
      field: QueueField.replies,
      shape: {
        capacity,
        slotBytes: replySlotBytes,
        iovecsPerSlot,
        segmentCapacity: capacity,
        direction: Direction.replies,
      },
    },
  ];
  let end = queueHeaderBytes;
  const batches = wanted.map((entry) => {
    const offset = end;
    end = align(end + batchBytes(entry.shape));
    return { ...entry, offset };
  });
  const queueStride = end;
  const queuesOffset = align(peersOffset + peersHeaderBytes);
  const recordsOffset = queuesOffset + shape.queues * queueStride;
  // Slack of two: as many records as live ones can wait for their grace period.
  const recordCount = 2 * shape.peers + 64;
  // At least twice as many entries as live ones, so that probes stay short and tombstones have room.
  const indexBits = Math.max(4, Math.ceil(Math.log2(2 * shape.peers)));
  const firstIndex = align(recordsOffset + recordCount * recordBytes);
  const indexes = [0, 1, 2, 3].map((i) => firstIndex + i * 8 * 2 ** indexBits);
  return {
    queuesOffset,
    queueStride,
    batches,
    recordsOffset,
    recordCount,
    indexBits,
    indexes,
    end: firstIndex + 32 * 2 ** indexBits,
  };
}

function writeHeaders(view: DataView, shape: PacketMemoryShape, plan: Plan): void {
  const put = (offset: number, value: number): void => view.setUint32(offset, value, true);
  const header = {
    magic: memoryMagic,
    version: layoutVersion,
    byteLength: view.byteLength,
    queues: shape.queues,
    queuesOffset: plan.queuesOffset,
    queueStride: plan.queueStride,
    localOffset,
    peersOffset,
  };
  for (const [name, value] of Object.entries(header)) {
    put(memoryHeaderOffset + MemoryField[name as keyof typeof header], value);
  }
  const [subnets0 = 0, subnets1 = 0, endpoints0 = 0, endpoints1 = 0] = plan.indexes;
  const { recordsOffset, recordCount, indexBits } = plan;
  const peers = {
    capacity: shape.peers,
    recordsOffset,
    recordCount,
    recordBytes,
    subnetsBits: indexBits,
    subnets0,
    subnets1,
    endpointsBits: indexBits,
    endpoints0,
    endpoints1,
  };
  for (const [name, value] of Object.entries(peers)) {
    put(peersOffset + PeersField[name as keyof typeof peers], value);
  }
  for (let queue = 0; queue < shape.queues; queue++) {
    const at = plan.queuesOffset + queue * plan.queueStride;
    for (const batch of plan.batches) {
      put(at + batch.field, at + batch.offset);
      layBatch(view, at + batch.offset, batch.shape);
    }
  }
}
