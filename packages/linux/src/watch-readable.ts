import { libc } from "./libc.ts";

/** A watch on a descriptor, as {@link watchReadable} gives it. */
export interface ReadableWatch extends Disposable {
  /** Ends the watch; again does nothing. Call it before the descriptor is closed. */
  close(): void;
}

// An open handle that nobody references delivers nothing, ever: so each stays here until it is closed.
const open = new Set<ReadableWatch>();

/**
 * Calls back whenever a descriptor is readable, from the event loop of this thread: no thread, no idle wake-ups.
 *
 * The callback must drain the descriptor to `EAGAIN`. The watch keeps the process alive until it is closed. After an error
 * on the descriptor (a netlink socket that overran, say) the callback comes with a negative status and the watch goes on.
 *
 * @param fd the descriptor, non-blocking.
 * @param onReadable called with 0, or with a negative libuv status.
 * @returns the watch.
 */
export function watchReadable(fd: number, onReadable: (status: number) => void): ReadableWatch {
  const { koffi } = libc();
  let closed = false;
  // koffi's declaration says that the callback gets the events alone; it gets (status, events).
  const callback = (status: unknown): void => {
    if (typeof status !== "number") return;
    if (closed) return;
    onReadable(status);
    // Node 26 runs promises only when the loop turns for another reason.
    setImmediate(nothing);
    // libuv stops the handle on an error.
    if (status < 0 && !closed) handle.start({ readable: true }, callback);
  };
  const handle = koffi.node.poll(fd, { readable: true }, callback);
  const close = (): void => {
    if (closed) return;
    closed = true;
    open.delete(watch);
    handle.stop();
    handle.close();
  };
  const watch: ReadableWatch = { close, [Symbol.dispose]: close };
  open.add(watch);
  // The closure above keeps the handle, the set keeps the closure.
  return watch;
}

function nothing(): void {}
