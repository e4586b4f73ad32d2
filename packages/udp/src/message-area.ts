import { addressOf, constants, sys } from "@loden/linux";
import { HEADROOM, type PacketBatch, type PacketMemory, Verdict } from "@loden/packet";

// include/linux/socket.h: struct mmsghdr and struct iovec where pointers have 8 bytes, as indexes of 32-bit words.
const MESSAGE_WORDS = 16;
const NAME = 0;
const NAME_LENGTH = 2;
const IOVECS = 4;
const IOVEC_COUNT = 6;
const CONTROL = 8;
const CONTROL_LENGTH = 10;
const FLAGS = 12;
const LENGTH = 14;
const NAME_BYTES = 32;
const IOVEC_BYTES = 16;
const MESSAGE_BYTES = 64;
const IPV4_NAME_BYTES = 16;
const IPV6_NAME_BYTES = 28;

/**
 * The scratch areas of one batch as the arguments of `recvmmsg` and `sendmmsg`. Messages are numbered from 0; a message that is sent
 * remembers which packet of the batch it carries.
 *
 * Addresses are computed once, here: only constant ones may cross into koffi (see Syscalls).
 */
export interface MessageArea {
  /** Points one message at each slot. All of it is written again, since a send or a TUN queue may have used the areas in between. */
  prepareReceive(): void;
  receive(): number;
  length(message: number): number;
  flags(message: number): number;
  /** Offset of the sender's address, 0 where there is none. */
  sender(message: number): number;
  /** Makes a message of each packet whose verdict is pass and that has an endpoint; one without gets `sendFailed`. */
  prepareSend(): number;
  send(count: number): number;
  /** Takes the first messages away; gives how many of `left` stay. */
  drop(count: number, left: number): number;
  /** Sets the verdict of the first message's packet. */
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
  const {
    capacity,
    iovecsOffset,
    messagesOffset,
    namesOffset,
    controlOffset,
    offsets,
    lengths,
    verdicts,
    endpoints,
  } = batch;
  const base = addressOf(memory.memory);
  const low = base % 2 ** 32;
  const high = Math.floor(base / 2 ** 32);
  const words = new Uint32Array(memory.memory.buffer);
  const halves = new Uint16Array(memory.memory.buffer);
  const messages = base + messagesOffset;
  // Plain datagrams have no control messages, so that area has room for what poll(2) wants.
  const pollDescriptor = base + controlOffset;
  const packets = new Uint32Array(capacity);
  let first = 0;

  const point = (word: number, offset: number): void => {
    const sum = low + offset;
    words[word] = sum;
    words[word + 1] = sum < 2 ** 32 ? high : high + 1;
  };
  const describe = (
    message: number,
    name: number,
    nameBytes: number,
    start: number,
    length: number,
  ): void => {
    const iovec = iovecsOffset + message * IOVEC_BYTES;
    point(iovec / 4, start);
    words[iovec / 4 + 2] = length;
    words[iovec / 4 + 3] = 0;
    const at = messagesOffset / 4 + message * MESSAGE_WORDS;
    point(at + NAME, name);
    words[at + NAME_LENGTH] = nameBytes;
    point(at + IOVECS, iovec);
    words[at + IOVEC_COUNT] = 1;
    words[at + IOVEC_COUNT + 1] = 0;
    words[at + CONTROL] = 0;
    words[at + CONTROL + 1] = 0;
    words[at + CONTROL_LENGTH] = 0;
    words[at + CONTROL_LENGTH + 1] = 0;
    words[at + FLAGS] = 0;
  };
  const field = (message: number, word: number): number =>
    words[messagesOffset / 4 + message * MESSAGE_WORDS + word] as number;

  return {
    prepareReceive() {
      const room = batch.slotBytes - HEADROOM;
      for (let i = 0; i < capacity; i += 1)
        describe(i, namesOffset + i * NAME_BYTES, NAME_BYTES, batch.slot(i), room);
    },
    receive: () => sys.recvmmsg(fd, messages, capacity, constants.MSG_DONTWAIT),
    length: (message) => field(message, LENGTH),
    flags: (message) => field(message, FLAGS),
    sender: (message) => (field(message, NAME_LENGTH) === 0 ? 0 : namesOffset + message * NAME_BYTES),
    prepareSend() {
      const { count } = batch;
      let prepared = 0;
      first = 0;
      for (let i = 0; i < count; i += 1) {
        if (verdicts[i] !== Verdict.pass) continue;
        const endpoint = endpoints[i] as number;
        if (endpoint === 0) {
          verdicts[i] = Verdict.sendFailed;
          continue;
        }
        const isIPv6 = halves[endpoint / 2] === constants.AF_INET6;
        describe(
          prepared,
          endpoint,
          isIPv6 ? IPV6_NAME_BYTES : IPV4_NAME_BYTES,
          offsets[i] as number,
          lengths[i] as number,
        );
        packets[prepared] = i;
        prepared += 1;
      }
      return prepared;
    },
    send: (count) => sys.sendmmsg(fd, messages, count, constants.MSG_DONTWAIT),
    drop(count, left) {
      first += count;
      const from = messagesOffset + count * MESSAGE_BYTES;
      if (left > count) batch.bytes.copyWithin(messagesOffset, from, messagesOffset + left * MESSAGE_BYTES);
      return left - count;
    },
    fail(verdict) {
      verdicts[packets[first] as number] = verdict;
    },
    failAll(left) {
      for (let i = first; i < first + left; i += 1) verdicts[packets[i] as number] = Verdict.sendFailed;
    },
    waitWritable(timeoutMs) {
      words[controlOffset / 4] = fd;
      words[controlOffset / 4 + 1] = constants.POLLOUT;
      sys.poll(pollDescriptor, 1, timeoutMs);
    },
  };
}
