import { libc } from "./libc.ts";

/**
 * System calls of the packet path. They never throw: the result is the call's own, or `-errno`.
 *
 * Pointers are absolute addresses, made once with {@link addressOf} plus a constant: an address computed per call
 * would box a number and bring the garbage collector into the packet path. What varies lies in the memory behind them.
 */
export interface Syscalls {
  /**
   * `readv(2)`.
   * @returns the number of bytes read, or `-errno`.
   */
  readv(fd: number, iovecs: number, count: number): number;
  /**
   * `writev(2)`.
   * @returns the number of bytes written, or `-errno`.
   */
  writev(fd: number, iovecs: number, count: number): number;
  /**
   * `sendmmsg(2)`.
   * @returns the number of messages sent, or `-errno` of the first.
   */
  sendmmsg(fd: number, messages: number, count: number, flags: number): number;
  /**
   * `recvmmsg(2)` without a timeout.
   * @returns the number of messages received, or `-errno`.
   */
  recvmmsg(fd: number, messages: number, count: number, flags: number): number;
  /**
   * `poll(2)` over an array of `struct pollfd`. Keep the timeout short: a worker in an endless poll keeps the
   * process from ending.
   * @returns how many descriptors are ready, 0 on timeout, or `-errno`.
   */
  poll(fds: number, count: number, timeoutMs: number): number;
}

/** The system calls of the packet path, loaded on first use. */
export const sys: Syscalls = {
  readv(fd, iovecs, count) {
    const result = libc().readv(fd, iovecs, count);
    return result < 0 ? -libc().koffi.errno() : result;
  },
  writev(fd, iovecs, count) {
    const result = libc().writev(fd, iovecs, count);
    return result < 0 ? -libc().koffi.errno() : result;
  },
  sendmmsg(fd, messages, count, flags) {
    const result = libc().sendmmsg(fd, messages, count, flags);
    return result < 0 ? -libc().koffi.errno() : result;
  },
  recvmmsg(fd, messages, count, flags) {
    const result = libc().recvmmsg(fd, messages, count, flags, 0);
    return result < 0 ? -libc().koffi.errno() : result;
  },
  poll(fds, count, timeoutMs) {
    const result = libc().poll(fds, count, timeoutMs);
    return result < 0 ? -libc().koffi.errno() : result;
  },
};
