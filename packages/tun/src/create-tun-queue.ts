import { addressOf, errno, sys } from "@loden/linux";
import {
  HEADROOM,
  Join,
  kernelsOf,
  type PacketBatch,
  type PacketKernels,
  type PacketMemory,
  setMemoryAddress,
  Verdict,
} from "@loden/packet";
import { EBADFD } from "./device-gone.ts";
import { claimReader } from "./exclusive-reader.ts";
import type { TunOffloads } from "./tun-offloads.ts";
import type { TunQueue } from "./tun-queue.ts";

// include/uapi/linux/virtio_net.h: struct virtio_net_hdr
const VIRTIO_BYTES = 10;
const IPPROTO_TCP = 6;
/** A batch stops growing here: half of a usual second-level cache. */
const MOST_BYTES_READ = 256 * 1024;

/** Settings of {@link createTunQueue}. */
export interface TunQueueOptions {
  /** What the device was granted, {@linkcode TunDevice.offloads}; undefined for a device that was opened without offloads. */
  readonly offloads?: TunOffloads | undefined;
}

/**
 * Creates a queue that moves packets between a TUN device and batches in linear memory, one system call per packet or super-packet and
 * nothing allocated.
 *
 * It works in any thread, also in one that did not open the device, and has nothing to close: the device's owner closes the
 * descriptor, after the last call.
 *
 * @param fd the descriptor of a TUN device, non-blocking: {@linkcode TunDevice.fd}.
 * @param memory the memory that the batches lie in; the queue keeps it alive.
 * @param options what the device was opened with.
 * @returns the queue.
 */
export function createTunQueue(fd: number, memory: PacketMemory, options: TunQueueOptions = {}): TunQueue {
  const known = new WeakMap<PacketBatch, PacketCalls>();
  const kernels = kernelsOf(memory);
  const headerBytes = options.offloads === undefined ? 0 : VIRTIO_BYTES;
  // Shared by all batches: what the kernel turns out to refuse is given up once.
  const joining: Joining = { how: joinOf(options.offloads), proven: 0 };
  const reading = { drained: true };
  let claimed = false;
  setMemoryAddress(memory, addressOf(memory.memory));
  const callsOf = (batch: PacketBatch): PacketCalls => {
    const calls = known.get(batch) ?? packetCalls(fd, memory, batch);
    known.set(batch, calls);
    return calls;
  };
  return {
    read(batch, most = batch.capacity) {
      if (!claimed) claimReader(fd, "batches");
      claimed = true;
      return readBatch(batch, most, callsOf(batch), headerBytes, reading);
    },
    get drained() {
      return reading.drained;
    },
    write: (batch) => writeBatch(batch, callsOf(batch), kernels, joining),
  };
}

/** How packets are joined, and of which protocols the kernel has taken joined ones: bits of `Join`. */
interface Joining {
  how: number;
  proven: number;
}

function joinOf(offloads: TunOffloads | undefined): number {
  if (offloads === undefined) return 0;
  return Join.virtio + (offloads.tcp ? Join.tcp : 0) + (offloads.udp ? Join.udp : 0);
}

function readBatch(
  batch: PacketBatch,
  most: number,
  calls: PacketCalls,
  headerBytes: number,
  reading: { drained: boolean },
): number {
  const { offsets, lengths, verdicts, peers, endpoints, virtio, parts } = batch;
  const room = batch.slotBytes - HEADROOM + headerBytes;
  const limit = Math.min(most, batch.capacity);
  let count = 0;
  let bytes = 0;
  let result = 0;
  while (count < limit && bytes < MOST_BYTES_READ) {
    const start = batch.slot(count);
    result = calls.read(start - headerBytes, room);
    if (result < 0) break;
    offsets[count] = start;
    lengths[count] = result - headerBytes;
    verdicts[count] = Verdict.pass;
    peers[count] = -1;
    endpoints[count] = 0;
    virtio[count] = headerBytes === 0 ? 0 : start - headerBytes;
    parts[count] = 0;
    bytes += result;
    count += 1;
  }
  batch.count = count;
  reading.drained = result < 0;
  // An error with packets before it comes again with the next call.
  return count > 0 || result === -errno.EAGAIN ? count : result;
}

function writeBatch(
  batch: PacketBatch,
  calls: PacketCalls,
  kernels: PacketKernels,
  joining: Joining,
): number {
  let written = 0;
  let gone = false;
  let singlyUntil = 0;
  batch.frameNext = 0;
  for (;;) {
    const how = batch.frameNext < singlyUntil ? Join.virtio : joining.how;
    const iovecs = kernels.nextFrame(batch, how);
    if (iovecs === 0) break;
    const result: number = gone ? -EBADFD : calls.write(iovecs);
    const packets = batch.framePackets;
    // The virtio header alone, or 0, is what an empty packet gets: the kernel does not even look at it.
    if (result > (how === 0 ? 0 : VIRTIO_BYTES)) {
      written += packets;
      if (packets > 1) joining.proven |= protocolBit(batch);
    } else if (packets > 1 && result === -errno.EINVAL) {
      // The kernel does not take what we joined: one by one, and for good when it never took any of this protocol.
      joining.how &= ~(protocolBit(batch) & ~joining.proven);
      singlyUntil = batch.frameNext;
      batch.frameNext = batch.frameFirst;
    } else {
      failFrame(batch);
      gone ||= result === -EBADFD;
    }
  }
  return gone && written === 0 ? -EBADFD : written;
}

// Of the frame that was made last.
function protocolBit({ bytes, offsets, frameFirst }: PacketBatch): number {
  const at = offsets[frameFirst] as number;
  const protocol = bytes[at + ((bytes[at] as number) >> 4 === 4 ? 9 : 6)];
  return protocol === IPPROTO_TCP ? Join.tcp : Join.udp;
}

function failFrame({ verdicts, frameFirst, frameNext }: PacketBatch): void {
  for (let i = frameFirst; i < frameNext; i += 1) {
    if (verdicts[i] === Verdict.pass) verdicts[i] = Verdict.writeFailed;
  }
}

/** The two system calls over one batch's frame iovecs, whose address is constant. */
interface PacketCalls {
  /** Reads a packet to where in the memory `start` says. */
  read(start: number, length: number): number;
  /** Writes the frame that the iovecs describe. */
  write(iovecs: number): number;
}

// The iovecs are rewritten for each packet because only constant addresses may cross into koffi (see Syscalls).
function packetCalls(fd: number, memory: PacketMemory, batch: PacketBatch): PacketCalls {
  const base = addressOf(memory.memory);
  const low = base % 2 ** 32;
  const high = Math.floor(base / 2 ** 32);
  const words = new Uint32Array(memory.memory.buffer);
  const iovec = base + batch.frameIovecsOffset;
  const word = batch.frameIovecsOffset / 4;
  return {
    read(start, length) {
      const sum = low + start;
      words[word] = sum;
      words[word + 1] = sum < 2 ** 32 ? high : high + 1;
      words[word + 2] = length;
      words[word + 3] = 0;
      for (;;) {
        const result = sys.readv(fd, iovec, 1);
        if (result !== -errno.EINTR) return result;
      }
    },
    write(iovecs) {
      for (;;) {
        const result = sys.writev(fd, iovec, iovecs);
        if (result !== -errno.EINTR) return result;
      }
    },
  };
}
