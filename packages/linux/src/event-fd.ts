import { constants } from "./constants.ts";
import { closeFd, readFd, writeFd } from "./files.ts";
import { checked, libc } from "./libc.ts";

/** A counter in the kernel that wakes whoever polls its descriptor. Any thread may signal it. */
export interface EventFd extends Disposable {
  /** The descriptor, for `poll`. */
  readonly fd: number;
  /** Makes the descriptor readable. */
  signal(): void;
  /** Makes it unreadable again, until the next signal. */
  drain(): void;
  /** Closes the descriptor; again does nothing. */
  close(): void;
}

/**
 * Opens an eventfd, as `eventfd(2)`, non-blocking.
 *
 * @returns the event; the caller closes it.
 * @throws {KernelError} e.g. `EMFILE`.
 */
export function openEventFd(): EventFd {
  const fd = checked(
    libc().eventfd(0, constants.O_NONBLOCK | constants.O_CLOEXEC),
    "eventfd",
    "open an eventfd",
  );
  const one = new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]);
  const taken = new Uint8Array(8);
  let closed = false;
  const close = (): void => {
    if (!closed) closeFd(fd);
    closed = true;
  };
  return {
    fd,
    signal: () => void writeFd(fd, one),
    drain: () => void readFd(fd, taken),
    close,
    [Symbol.dispose]: close,
  };
}
