import { addressOf, constants, errno, sys } from "@loden/linux";
import { kernelsOf, type PacketBatch, type PacketMemory, SegmentWord, Verdict } from "@loden/packet";

// include/linux/socket.h: struct mmsghdr where pointers have 8 bytes.
const MESSAGE_BYTES = 64;
// One control message of the receiving scratch: struct cmsghdr, then include/uapi/linux/errqueue.h: struct sock_extended_err, whose
// first fields are the error number and the origin (SO_EE_ORIGIN_LOCAL).
const CONTROL_BYTES = 64;
const CONTROL_HEADER_BYTES = 16;
const FROM_HERE = 1;

/**
 * The scratch areas of one batch as the arguments of `recvmmsg` and `sendmmsg`. Messages are numbered from 0; a message that is sent
 * carries one or more segments, and each of these remembers its packet.
 *
 * Addresses are computed once, here: only constant ones may cross into koffi (see Syscalls).
 */
export interface MessageArea {
  /** Receives into the slots; with `MSG_ERRQUEUE`, what the network answered to datagrams. */
  receive(flags?: number): number;
  /** Sets the verdicts of what was received as errors: pass for a datagram that was too long for its path, `sendFailed` for any other. */
  judgeErrors(): void;
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
  const { bytes, view } = batch;
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
    receive: (flags = 0) => sys.recvmmsg(fd, received, capacity, constants.MSG_DONTWAIT | flags),
    judgeErrors() {
      for (let i = 0; i < batch.count; i += 1) {
        const error = batch.controlOffset + i * CONTROL_BYTES + CONTROL_HEADER_BYTES;
        const isTooLong = view.getUint32(error, true) === errno.EMSGSIZE && bytes[error + 4] !== FROM_HERE;
        if (!isTooLong) verdicts[i] = Verdict.sendFailed;
      }
    },
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
        bytes.copyWithin(sendMessagesOffset, from, sendMessagesOffset + left * MESSAGE_BYTES);
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
