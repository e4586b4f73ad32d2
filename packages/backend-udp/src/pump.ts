/**
 * The packet pump: the entry point of the worker that moves packets. Not for calling; `openUdpBackend` starts it.
 *
 * @module
 */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { createPlainUdpCodec } from "@loden/encap";
import { readFd } from "@loden/linux";
import { attachPacketMemory, kernelsOf, type PacketQueue, type SharedPacketMemory } from "@loden/packet";
import { createTunQueue } from "@loden/tun";
import { createUdpQueue } from "@loden/udp";
import { joinQueues, type OuterQueue } from "./outer-queue.ts";
import { createNarrowPaths } from "./narrow-paths.ts";
import { createMayFragment, createPathMtu } from "./path-mtu.ts";
import { Cell, type OuterFds, type PumpMessage, type PumpSockets, type PumpStart } from "./pump-control.ts";
import { runPump } from "./run-pump.ts";
import { createUnknownSenders } from "./unknown-senders.ts";

const start = workerData as PumpStart;
const memory = attachPacketMemory(start.memory as SharedPacketMemory);
const codec = createPlainUdpCodec();
const taken = new Uint8Array(8);

const queue = memory.queues[start.queue] as PacketQueue;
const tun = createTunQueue(start.tunFd, memory, { offloads: start.offloads });
// A time is a number on the heap: it is asked for only when an error is due.
const now = (): number => performance.now();
const noteNarrowPaths = createNarrowPaths((endpoint) => tell({ type: "narrowPath", endpoint }));
const noteSenders = createUnknownSenders((sender, source) => tell({ type: "unknownSender", sender, source }));

run(start, "running");

/** Moves packets through these sockets, until the main thread sends others. */
function run({ ipv4, ipv6 }: PumpSockets, beginning: "running" | "moved"): void {
  runPump({
    path: {
      memory,
      kernels: kernelsOf(memory),
      queue,
      tun,
      udp: openQueue(ipv4, ipv6),
      codec,
      pathMtu: createPathMtu({ ipv4: ipv4?.mtuFd, ipv6: ipv6?.mtuFd }, memory.bytes, codec.overhead),
      noteSenders,
      noteNarrowPaths,
      now,
      peerSource: start.peerSource,
    },
    tunFd: start.tunFd,
    udpFds: [ipv4, ipv6].flatMap((socket) => socket?.fd ?? []),
    wakeFd: start.wakeFd,
    cells: start.cells,
    drainWake: () => void readFd(start.wakeFd, taken),
    onStarted: () => tell({ type: beginning }),
    onMove: () => run(takeSockets() ?? { ipv4, ipv6 }, "moved"),
    onStopped: (deviceErrno) =>
      tell(deviceErrno === undefined ? { type: "stopped" } : { type: "deviceLost", errno: deviceErrno }),
  });
}

/** The last ones that the main thread has sent; none if that was to another worker, which has failed, and this one was started with them. */
function takeSockets(): PumpSockets | undefined {
  // First, so that what is sent meanwhile is another move.
  Atomics.store(start.cells, Cell.move, 0);
  let sockets: PumpSockets | undefined;
  for (;;) {
    const received = parentPort === null ? undefined : receiveMessageOnPort(parentPort);
    if (received === undefined) return sockets;
    sockets = received.message as PumpSockets;
  }
}

function openQueue(ipv4: OuterFds | undefined, ipv6: OuterFds | undefined): OuterQueue {
  const mayFragment = createMayFragment(codec.overhead);
  const [first, second] = [ipv4, ipv6].flatMap((socket) =>
    socket === undefined ? [] : createUdpQueue(socket.fd, memory, { ...socket, mayFragment }),
  );
  if (first === undefined) throw new TypeError("Cannot move packets: there is no outer socket, expected one");
  return second === undefined ? first : joinQueues(first, second);
}

function tell(message: PumpMessage): void {
  parentPort?.postMessage(message);
}
