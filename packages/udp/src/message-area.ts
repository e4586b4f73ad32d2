import { addressOf, constants, sys } from "@loden/linux";
import { kernelsOf, type PacketBatch, type PacketMemory, SegmentWord, Verdict } from "@loden/packet";

// include/linux/socket.h: struct mmsghdr where pointers have 8 bytes.
const MESSAGE_BYTES = 64;

/**
 * The scratch areas of one batch as the arguments of `recvmmsg` and `sendmmsg`. Messages are numbered from 0; a message that is sent
 * carries one or more segments, and each of these remembers its packet.
 *
 * Addresses are computed once, here: only constant ones may cross into koffi (see Syscalls).
 */
export interface MessageArea {
  receive(): number;
  /** Marks packets without an endpoint as `sendFailed`. */
  refuseUnaddressed(): void;
  /** Makes messages of the segments from `from` up to `end`; gives how many. */
  gather(from: number, end: number, segmentsPerSend: number): number;
  /** The first segment that was not taken away. */
  readonly firstSegment: number;
  /** How many segments the first messages carry. */
  segmentsOf(messages: number): number;
  send(count: number): number;
  /** Takes the first messages away; gives how many of `left` stay. */
  drop(count: number, left: number): number;
  /** Sets the verdict of the packets in the first message. */
  fail(verdict: number): void;
  failAll(left: number): void;
  waitWritable(timeoutMs: number): void;
}

/**
 * Creates the message area of a batch.
 *
 * @param fd the socket.
 * @param memory the memory that the batch lies in.
 * @param batch the batch.
 * @returns the area.
 */
export function createMessageArea(fd: number, memory: PacketMemory, batch: PacketBatch): MessageArea {
  const { capacity, messagesOffset, sendMessagesOffset, verdicts, endpoints, groups, segments } = batch;
  const kernels = kernelsOf(memory);
  const base = addressOf(memory.memory);
  const received = base + messagesOffset;
  const messages = base + sendMessagesOffset;
  // struct pollfd lies in the frame scratch, which belongs to no call of a socket.
  const pollDescriptor = base + batch.frameIovecsOffset;
  const words = new Uint32Array(memory.memory.buffer, batch.frameIovecsOffset, 2);
  let first = 0;
  kernels.prepareReceive(batch);

  const segmentAt = (message: number): number => groups[first + message] as number;
  const failMessages = (count: number, verdict: number): void => {
    for (let segment = segmentAt(0); segment < segmentAt(count); segment += 1) {
      const packet = segments[segment * SegmentWord.count + SegmentWord.packet] as number;
      if (verdicts[packet] === Verdict.pass) verdicts[packet] = verdict;
    }
  };
  return {
    receive: () => sys.recvmmsg(fd, received, capacity, constants.MSG_DONTWAIT),
    refuseUnaddressed() {
      for (let i = 0; i < batch.count; i += 1) {
        if (endpoints[i] === 0 && verdicts[i] === Verdict.pass) verdicts[i] = Verdict.sendFailed;
      }
    },
    gather(from, end, segmentsPerSend) {
      first = 0;
      return kernels.gatherMessages(batch, from, end, segmentsPerSend);
    },
    get firstSegment() {
      return segmentAt(0);
    },
    segmentsOf: (count) => segmentAt(count) - segmentAt(0),
    send: (count) => sys.sendmmsg(fd, messages, count, constants.MSG_DONTWAIT),
    drop(count, left) {
      first += count;
      const from = sendMessagesOffset + count * MESSAGE_BYTES;
      if (left > count) {
        batch.bytes.copyWithin(sendMessagesOffset, from, sendMessagesOffset + left * MESSAGE_BYTES);
      }
      return left - count;
    },
    fail: (verdict) => failMessages(1, verdict),
    failAll: (left) => failMessages(left, Verdict.sendFailed),
    waitWritable(timeoutMs) {
      words[0] = fd;
      words[1] = constants.POLLOUT;
      sys.poll(pollDescriptor, 1, timeoutMs);
    },
  };
}
