import { addressOf, constants, KernelError, sys, watchReadable, type ReadableWatch } from "@loden/linux";
import { passInbound } from "./inbound.ts";
import { passOutbound, type PacketPath } from "./outbound.ts";
import { passReturned } from "./returned.ts";
import { Cell } from "./pump-control.ts";

/** While packets come, wait for more in the kernel for this long before going back to the event loop. */
const LINGER_MS = 10;
/** After so many turns without a rest, let the event loop have a turn: it carries messages and errors. */
const TURNS_PER_BURST = 4096;

/** Which sides may have packets, and whether routers may have sent some back: bits. */
const Ready = { tun: 1, udp: 2, returned: 4 } as const;

/** What {@link runPump} needs besides the packet path. */
export interface PumpWiring {
  readonly path: PacketPath;
  readonly tunFd: number;
  readonly udpFds: readonly number[];
  readonly wakeFd: number;
  readonly cells: Int32Array<SharedArrayBuffer>;
  /** Takes what woke the pump. */
  drainWake(): void;
  /** Called once, before the first packet is looked at. */
  onStarted(): void;
  /** Called once, when the pump is to go on with other sockets: it has let go of these, and runs no more until it is run again. */
  onMove: () => void;
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
  const linger = createLinger(path, wiring);
  const watches: ReadableWatch[] = [];
  let running = true;
  /** What woke the pump last time was one packet: traffic is questions and answers rather than a stream. */
  let single = false;

  function stop(deviceErrno?: number): void {
    if (!running) return;
    wiring.onStopped(deviceErrno);
    // From there on the worker may be ended at any moment; koffi aborts the process when that happens in the middle of its callback.
    letGo(() => {
      Atomics.store(cells, Cell.stopped, 1);
      Atomics.notify(cells, Cell.stopped);
    });
  }

  /** Calls back two turns later: out of the callback that this runs in, and with the watches' handles closed. */
  function letGo(then: () => void): void {
    running = false;
    for (const watch of watches) watch.close();
    setImmediate(() => setImmediate(then));
  }

  function burst(): void {
    if (!running) return;
    Atomics.add(cells, Cell.wakeups, 1);
    let ready = Ready.tun | Ready.udp;
    // Since the pump was woken.
    let packets = 0;
    for (let turn = 0; turn < TURNS_PER_BURST; turn++) {
      if (Atomics.load(cells, Cell.stop) === 1) return stop();
      if (Atomics.load(cells, Cell.move) === 1) return letGo(wiring.onMove);
      // A packet that is probably alone leaves before anybody asks for the next one.
      const moved = turnOnce(path, ready, single && packets === 0 ? 1 : undefined);
      if (moved < 0) return stop(-moved);
      packets += moved;
      // What is left behind is taken without asking, as is the answer to a single packet; else the kernel says what there is.
      const answer = packets === 1 && moved === 1 && ready === Ready.udp;
      ready = (path.tun.drained && !answer ? 0 : Ready.tun) | (path.udp.drained ? 0 : Ready.udp);
      if (path.udp.hasErrors) ready |= Ready.returned;
      if (ready !== 0) continue;
      single = packets <= 2;
      packets = 0;
      ready = linger();
      if (ready === 0) return;
    }
  }

  Atomics.store(cells, Cell.watching, 1);
  // In this order on both sides: either this finds that it is to stop, or who ends the process finds that it has to wait.
  if (Atomics.load(cells, Cell.stop) === 1) {
    wiring.onStarted();
    return stop();
  }
  watches.push(
    watchReadable(wiring.tunFd, burst),
    ...wiring.udpFds.map((fd) => watchReadable(fd, burst)),
    watchReadable(wiring.wakeFd, () => {
      wiring.drainWake();
      burst();
    }),
  );
  // Not after the burst: under steady traffic it lasts.
  wiring.onStarted();
  burst();
}

/**
 * One batch of each side that is ready. Peer records that this turn looks at stay what they are until it leaves.
 *
 * Takes at most so many packets from the TUN device. Gives how many packets it moved, or `-errno` when the TUN device is gone.
 */
function turnOnce(path: PacketPath, ready: number, most: number | undefined): number {
  const { queue } = path;
  queue.enter();
  try {
    if ((ready & Ready.returned) !== 0) passReturned(path);
    const outbound = (ready & Ready.tun) === 0 ? 0 : passOutbound(path, most);
    if (outbound < 0) return outbound;
    const inbound = (ready & Ready.udp) === 0 ? 0 : passInbound(path);
    if (inbound < 0)
      throw new KernelError({ attempt: "receive from peers", syscall: "recvmmsg", errno: -inbound });
    return outbound + inbound;
  } finally {
    queue.leave();
  }
}

/**
 * Waits in the kernel for any of the descriptors. Gives which sides are ready, or 0 after 10 ms of silence.
 */
function createLinger({ memory, queue }: PacketPath, { tunFd, udpFds, wakeFd }: PumpWiring): () => number {
  const { view } = memory;
  // struct pollfd { int fd; short events; short revents; }
  const at = queue.scratchOffset;
  const fds = [tunFd, wakeFd, ...udpFds];
  const udpEnd = at + 8 * fds.length;
  for (const [i, fd] of fds.entries()) {
    view.setInt32(at + i * 8, fd, true);
    view.setInt32(at + i * 8 + 4, constants.POLLIN, true);
  }
  const address = addressOf(memory.memory) + at;
  return () => {
    const found = sys.poll(address, fds.length, LINGER_MS);
    if (found === 0) return 0;
    // Woken by a signal or by the main thread: a turn looks at the cells.
    const tun = view.getUint16(at + 6, true) === 0 ? 0 : Ready.tun;
    let udp = 0;
    for (let entry = at + 16; entry < udpEnd; entry += 8) {
      const events = view.getUint16(entry + 6, true);
      if (events !== 0) udp |= Ready.udp;
      if ((events & constants.POLLERR) !== 0) udp |= Ready.returned;
    }
    return found < 0 || (tun | udp) === 0 ? Ready.tun | Ready.udp : tun | udp;
  };
}
