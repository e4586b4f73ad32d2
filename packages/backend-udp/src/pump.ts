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
import { createPathMtu, mayFragment, OUTER_HEADERS } from "./path-mtu.ts";
import type { PumpMessage, PumpStart } from "./pump-control.ts";
import { runPump } from "./run-pump.ts";

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
    udp: createUdpQueue(start.udpFd, memory, { segmentsPerSend: start.segmentsPerSend, mayFragment }),
    codec,
    pathMtu: createPathMtu(start.mtuFd, memory.bytes, OUTER_HEADERS + codec.overhead),
    // A time is a number on the heap: it is asked for only when an error is due.
    now: () => performance.now(),
    peerSource: start.peerSource,
  },
  tunFd: start.tunFd,
  udpFd: start.udpFd,
  wakeFd: start.wakeFd,
  cells: start.cells,
  drainWake: () => void readFd(start.wakeFd, taken),
  onStopped: (deviceErrno) =>
    tell(deviceErrno === undefined ? { type: "stopped" } : { type: "deviceLost", errno: deviceErrno }),
});
tell({ type: "running" });

function tell(message: PumpMessage): void {
  parentPort?.postMessage(message);
}
