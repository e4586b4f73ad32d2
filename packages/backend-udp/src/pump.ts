/**
 * The packet pump: the entry point of the worker that moves packets. Not for calling; `openUdpBackend` starts it.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { createPlainUdpCodec } from "@loden/encap";
import { readFd } from "@loden/linux";
import { attachPacketMemory, kernelsOf, type PacketQueue, type SharedPacketMemory } from "@loden/packet";
import { createTunQueue } from "@loden/tun";
import { createUdpQueue } from "@loden/udp";
import { joinQueues, type OuterQueue } from "./outer-queue.ts";
import { createMayFragment, createPathMtu } from "./path-mtu.ts";
import type { OuterFds, PumpMessage, PumpStart } from "./pump-control.ts";
import { runPump } from "./run-pump.ts";
import { createUnknownSenders } from "./unknown-senders.ts";

const start = workerData as PumpStart;
const memory = attachPacketMemory(start.memory as SharedPacketMemory);
const codec = createPlainUdpCodec();
const taken = new Uint8Array(8);

runPump({
  path: {
    memory,
    kernels: kernelsOf(memory),
    queue: memory.queues[start.queue] as PacketQueue,
    tun: createTunQueue(start.tunFd, memory, { offloads: start.offloads }),
    udp: openQueue(start.ipv4, start.ipv6),
    codec,
    pathMtu: createPathMtu(
      { ipv4: start.ipv4?.mtuFd, ipv6: start.ipv6?.mtuFd },
      memory.bytes,
      codec.overhead,
    ),
    noteSenders: createUnknownSenders((sender, source) => tell({ type: "unknownSender", sender, source })),
    // A time is a number on the heap: it is asked for only when an error is due.
    now: () => performance.now(),
    peerSource: start.peerSource,
  },
  tunFd: start.tunFd,
  udpFds: [start.ipv4, start.ipv6].flatMap((socket) => socket?.fd ?? []),
  wakeFd: start.wakeFd,
  cells: start.cells,
  drainWake: () => void readFd(start.wakeFd, taken),
  onStarted: () => tell({ type: "running" }),
  onStopped: (deviceErrno) =>
    tell(deviceErrno === undefined ? { type: "stopped" } : { type: "deviceLost", errno: deviceErrno }),
});

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
