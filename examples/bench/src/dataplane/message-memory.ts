import { addressOf } from "@loden/linux";

/** How many messages one call of `sendmmsg` or `recvmmsg` takes at most. */
export const BATCH = 64;

const MESSAGES = 0;
const IOVECS = MESSAGES + BATCH * 64;
const POLL_FDS = IOVECS + BATCH * 16;
const DATA = 8192;

/** Memory for system calls, with addresses that stay. */
export interface MessageMemory {
  /** Address of {@link BATCH} `struct mmsghdr`, each with one iovec. */
  readonly messages: number;
  /** Address of the first iovec. */
  readonly iovec: number;
  /** Address of 16 `struct pollfd`. */
  readonly pollFds: number;
  /** The first iovec's data. */
  readonly data: DataView;
  /** The length of a message that was received or sent. */
  messageLength(index: number): number;
  /** Sets what the poll waits for. */
  setPoll(index: number, fd: number, events: number): void;
  /** Whether a descriptor is ready, after a poll. */
  isReady(index: number): boolean;
}

/**
 * Makes the memory.
 *
 * @param bytes length of each message's buffer, and of the first iovec.
 * @param shared whether all messages have the same buffer, as a sender's may.
 * @returns the memory; keep it as long as its addresses.
 */
export function createMessageMemory(bytes: number, shared: boolean): MessageMemory {
  const memory = new Uint8Array(new SharedArrayBuffer(DATA + bytes * (shared ? 1 : BATCH)));
  const base = addressOf(memory);
  const view = new DataView(memory.buffer);
  for (let i = 0; i < BATCH; i++) {
    const message = MESSAGES + i * 64;
    const iovec = IOVECS + i * 16;
    view.setBigUint64(message + 16, BigInt(base + iovec), true);
    view.setUint32(message + 24, 1, true);
    view.setBigUint64(iovec, BigInt(base + DATA + (shared ? 0 : i * bytes)), true);
    view.setUint32(iovec + 8, bytes, true);
  }
  return {
    messages: base + MESSAGES,
    iovec: base + IOVECS,
    pollFds: base + POLL_FDS,
    data: new DataView(memory.buffer, DATA),
    messageLength: (index) => view.getUint32(MESSAGES + index * 64 + 56, true),
    setPoll(index, fd, events) {
      view.setInt32(POLL_FDS + index * 8, fd, true);
      view.setInt32(POLL_FDS + index * 8 + 4, events, true);
    },
    isReady: (index) => view.getUint16(POLL_FDS + index * 8 + 6, true) !== 0,
  };
}
