import { fstatSync, type Stats } from "node:fs";
import { errno } from "./errno.ts";
import { KernelError } from "./kernel-error.ts";
import { libc } from "./libc.ts";

/** A watch on a descriptor, as {@link watchReadable} gives it. */
export interface ReadableWatch extends Disposable {
  /** Ends the watch; again does nothing. Call it before the descriptor is closed. */
  close(): void;
}

// By descriptor. An open handle that nobody references delivers nothing, ever: so each stays here until it is closed.
const open = new Map<number, ReadableWatch>();
let closesAtExit = false;

/**
 * Calls back whenever a descriptor is readable, from the event loop of this thread: no thread, no idle wake-ups.
 *
 * The callback must drain the descriptor to `EAGAIN`. The watch keeps the process alive until it is closed. After an error
 * on the descriptor (a netlink socket that overran, say) the callback comes with a negative status and the watch goes on. What
 * the callback throws is an uncaught exception of this thread, as with Node's own events.
 *
 * @param fd the descriptor, non-blocking.
 * @param onReadable called with 0, or with a negative libuv status.
 * @returns the watch.
 * @throws {KernelError} `EBADF` when the descriptor is not open, `EPERM` for a file or a directory, which can't be watched.
 * @throws {TypeError} when the descriptor is being watched in this thread.
 */
export function watchReadable(fd: number, onReadable: (status: number) => void): ReadableWatch {
  const { koffi } = libc();
  checkWatchable(fd);
  closeAllAtExit();
  let closed = false;
  // koffi's declaration says that the callback gets the events alone; it gets (status, events).
  const callback = (status: unknown): void => {
    if (typeof status !== "number") return;
    if (closed) return;
    try {
      onReadable(status);
    } catch (error) {
      // koffi would leave it where the next native call of this thread, whosever, meets it.
      setImmediate(rethrow, error);
    }
    // Node 26 runs promises only when the loop turns for another reason.
    setImmediate(nothing);
    // libuv stops the handle on an error.
    if (status < 0 && !closed) handle.start({ readable: true }, callback);
  };
  const handle = koffi.node.poll(fd, { readable: true }, callback);
  const close = (): void => {
    if (closed) return;
    closed = true;
    open.delete(fd);
    handle.stop();
    handle.close();
  };
  const watch: ReadableWatch = { close, [Symbol.dispose]: close };
  open.set(fd, watch);
  // The closure above keeps the handle, the map keeps the closure.
  return watch;
}

/** What koffi can't watch it answers by aborting the process. */
function checkWatchable(fd: number): void {
  const attempt = `watch descriptor ${fd}`;
  if (open.has(fd))
    throw new TypeError(`Cannot ${attempt}: it is being watched, expected one watch at a time`);
  const kind = statOf(fd);
  if (kind === undefined) throw new KernelError({ attempt, syscall: "fstat", errno: errno.EBADF });
  if (kind.isFile() || kind.isDirectory())
    throw new KernelError({ attempt, syscall: "epoll_ctl", errno: errno.EPERM });
}

function statOf(fd: number): Stats | undefined {
  try {
    return fstatSync(fd);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EBADF") return undefined;
    throw error;
  }
}

/**
 * A thread that ends of an exception runs its event loop for a last time, and JavaScript no more. koffi answers a callback that can't
 * run by aborting the process: so there must be no watch by then.
 */
function closeAllAtExit(): void {
  if (closesAtExit) return;
  closesAtExit = true;
  process.on("exit", () => open.forEach((watch) => watch.close()));
}

function rethrow(error: unknown): never {
  throw error;
}

function nothing(): void {}
