import {
  addressOf,
  constants,
  errno,
  KernelError,
  sys,
  watchReadable,
  type ReadableWatch,
} from "@loden/linux";
import { passInbound } from "./inbound.ts";
import { passOutbound, type PacketPath } from "./outbound.ts";
import { Cell } from "./pump-control.ts";

/** While packets come, wait for more in the kernel for this long before going back to the event loop. */
const LINGER_MS = 10;
/** After so many turns without a rest, let the event loop have a turn: it carries messages and errors. */
const TURNS_PER_BURST = 4096;

/** What {@link runPump} needs besides the packet path. */
export interface PumpWiring {
  readonly path: PacketPath;
  readonly tunFd: number;
  readonly udpFd: number;
  readonly wakeFd: number;
  readonly cells: Int32Array<SharedArrayBuffer>;
  /** Takes what woke the pump. */
  drainWake(): void;
  /** Called once, when the pump has stopped for good. `deviceErrno` is set when the TUN device is gone. */
  onStopped(deviceErrno: number | undefined): void;
}

/**
 * Moves packets in both directions until it is told to stop.
 *
 * Idle, it sleeps in the event loop and wakes for nothing but packets. When packets come it drains both sides, then lingers in
 * `poll(2)` for 10 ms at most, and goes back to sleep after 10 ms of silence.
 *
 * @param wiring the packet path and its descriptors, which stay the caller's.
 */
export function runPump(wiring: PumpWiring): void {
  const { path, cells } = wiring;
  const linger = createLinger(path, [wiring.tunFd, wiring.udpFd, wiring.wakeFd]);
  const watches: ReadableWatch[] = [];
  let running = true;

  function stop(deviceErrno?: number): void {
    if (!running) return;
    running = false;
    for (const watch of watches) watch.close();
    wiring.onStopped(deviceErrno);
    // Two turns later: out of the callback that this runs in, and with the watches' handles closed. From there on the worker may be ended
    // at any moment; koffi aborts the process when that happens in the middle of its callback.
    setImmediate(() =>
      setImmediate(() => {
        Atomics.store(cells, Cell.stopped, 1);
        Atomics.notify(cells, Cell.stopped);
      }),
    );
  }

  function burst(): void {
    if (!running) return;
    Atomics.add(cells, Cell.wakeups, 1);
    for (let turn = 0; turn < TURNS_PER_BURST; turn++) {
      if (Atomics.load(cells, Cell.stop) === 1) return stop();
      const moved = turnOnce(path);
      if (moved < 0) return stop(-moved);
      if (moved === 0 && !linger()) return;
    }
  }

  watches.push(
    watchReadable(wiring.tunFd, burst),
    watchReadable(wiring.udpFd, burst),
    watchReadable(wiring.wakeFd, () => {
      wiring.drainWake();
      burst();
    }),
  );
  burst();
}

/** One batch each way. Peer records that this turn looks at stay what they are until it leaves. */
function turnOnce(path: PacketPath): number {
  const { queue } = path;
  queue.enter();
  try {
    const now = performance.now();
    const outbound = passOutbound(path, now);
    if (outbound < 0) return outbound;
    const inbound = passInbound(path, now);
    if (inbound < 0)
      throw new KernelError({ attempt: "receive from peers", syscall: "recvmmsg", errno: -inbound });
    return outbound + inbound;
  } finally {
    queue.leave();
  }
}

/** Waits in the kernel for any of the descriptors; false after 10 ms of silence. */
function createLinger({ memory, queue }: PacketPath, fds: readonly number[]): () => boolean {
  // struct pollfd { int fd; short events; short revents; }
  fds.forEach((fd, i) => {
    memory.view.setInt32(queue.scratchOffset + i * 8, fd, true);
    memory.view.setInt32(queue.scratchOffset + i * 8 + 4, constants.POLLIN, true);
  });
  const address = addressOf(memory.memory) + queue.scratchOffset;
  const count = fds.length;
  return () => {
    const ready = sys.poll(address, count, LINGER_MS);
    return ready > 0 || ready === -errno.EINTR;
  };
}
