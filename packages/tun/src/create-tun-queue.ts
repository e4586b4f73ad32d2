import { addressOf, errno, sys } from "@loden/linux";
import { HEADROOM, type PacketBatch, type PacketMemory, Verdict } from "@loden/packet";
import { EBADFD } from "./device-gone.ts";
import { claimReader } from "./exclusive-reader.ts";
import type { TunQueue } from "./tun-queue.ts";

/**
 * Creates a queue that moves packets between a TUN device and batches in linear memory, one system call per packet and nothing
 * allocated.
 *
 * It works in any thread, also in one that did not open the device, and has nothing to close: the device's owner closes the
 * descriptor, after the last call.
 *
 * @param fd the descriptor of a TUN device, non-blocking: {@linkcode TunDevice.fd}.
 * @param memory the memory that the batches lie in; the queue keeps it alive.
 * @returns the queue.
 */
export function createTunQueue(fd: number, memory: PacketMemory): TunQueue {
  const known = new WeakMap<PacketBatch, PacketCalls>();
  let claimed = false;
  const callsOf = (batch: PacketBatch): PacketCalls => {
    const calls = known.get(batch) ?? packetCalls(fd, memory, batch);
    known.set(batch, calls);
    return calls;
  };
  return {
    read(batch) {
      if (!claimed) claimReader(fd, "batches");
      claimed = true;
      return readBatch(batch, callsOf(batch));
    },
    write: (batch) => writeBatch(batch, callsOf(batch)),
  };
}

function readBatch(batch: PacketBatch, calls: PacketCalls): number {
  const room = batch.slotBytes - HEADROOM;
  let count = 0;
  let result = 0;
  while (count < batch.capacity) {
    const start = batch.slot(count);
    result = calls.read(start, room);
    if (result < 0) break;
    batch.offsets[count] = start;
    batch.lengths[count] = result;
    batch.verdicts[count] = Verdict.pass;
    batch.peers[count] = -1;
    batch.endpoints[count] = 0;
    count += 1;
  }
  batch.count = count;
  // An error with packets before it comes again with the next call.
  return count > 0 || result === -errno.EAGAIN ? count : result;
}

function writeBatch(batch: PacketBatch, calls: PacketCalls): number {
  const { count, offsets, lengths, verdicts } = batch;
  let written = 0;
  let gone = false;
  for (let i = 0; i < count; i += 1) {
    if (verdicts[i] !== Verdict.pass) continue;
    const result: number = gone ? -EBADFD : calls.write(offsets[i] as number, lengths[i] as number);
    // 0 is what an empty packet gets: the kernel does not even look at it.
    if (result > 0) {
      written += 1;
      continue;
    }
    verdicts[i] = Verdict.writeFailed;
    gone ||= result === -EBADFD;
  }
  return gone && written === 0 ? -EBADFD : written;
}

/** The two system calls over one batch's iovec: `start` and `length` say where in the memory the packet is. */
interface PacketCalls {
  read(start: number, length: number): number;
  write(start: number, length: number): number;
}

// The iovec is rewritten for each packet because only constant addresses may cross into koffi (see Syscalls).
// The last one is taken: the first ones are where UDP queues keep theirs.
function packetCalls(fd: number, memory: PacketMemory, batch: PacketBatch): PacketCalls {
  const base = addressOf(memory.memory);
  const low = base % 2 ** 32;
  const high = Math.floor(base / 2 ** 32);
  const words = new Uint32Array(memory.memory.buffer);
  const offset = batch.iovecsOffset + (batch.iovecCount - 1) * 16;
  const iovec = base + offset;
  const word = offset / 4;
  const point = (start: number, length: number): void => {
    const sum = low + start;
    words[word] = sum;
    words[word + 1] = sum < 2 ** 32 ? high : high + 1;
    words[word + 2] = length;
    words[word + 3] = 0;
  };
  return {
    read(start, length) {
      point(start, length);
      for (;;) {
        const result = sys.readv(fd, iovec, 1);
        if (result !== -errno.EINTR) return result;
      }
    },
    write(start, length) {
      point(start, length);
      for (;;) {
        const result = sys.writev(fd, iovec, 1);
        if (result !== -errno.EINTR) return result;
      }
    },
  };
}
