// For tests: runs the kernels over packets and gives copies of what they make.
import { kernelsOf } from "./kernels.ts";
import { virtioBytes } from "./layout.ts";
import { createPacketMemory, type PacketMemory } from "./packet-memory.ts";
import type { PacketQueue } from "./packet-queue.ts";

const segmentWords = 8;
const iovecBytes = 16;

/** A memory whose address is 0, so that iovecs hold offsets. */
export interface KernelRuns {
  readonly memory: PacketMemory;
  /** Writes packets as `TunQueue.write` does: the bytes of each frame, virtio header included. */
  frames(packets: readonly Uint8Array[], how: number): Uint8Array[];
  /** Cuts frames (virtio header and packet) and gives the packets on the wire, in as many rounds as it takes. */
  segments(frames: readonly Uint8Array[]): Uint8Array[];
  /** Gathers the segments of the last round into messages: the lengths in each. */
  messages(most: number): number[][];
}

/** Makes a memory to run kernels in. */
export function createKernelRuns(batch: number): KernelRuns {
  const memory = createPacketMemory({ batch, peers: 4, segments: 2048 });
  const queue = memory.queues[0] as PacketQueue;
  const kernels = kernelsOf(memory);
  const { bytes, view } = memory;
  const gathered = (at: number, count: number): Uint8Array => {
    const pieces = Array.from({ length: count }, (_, i) => {
      const start = Number(view.getBigUint64(at + i * iovecBytes, true));
      return bytes.slice(start, start + Number(view.getBigUint64(at + i * iovecBytes + 8, true)));
    });
    return joined(pieces);
  };
  return {
    memory,
    frames(packets, how) {
      const { inbound } = queue;
      inbound.count = 0;
      inbound.frameNext = 0;
      for (const packet of packets) inbound.add(packet);
      const made: Uint8Array[] = [];
      for (let iovecs = 0; (iovecs = kernels.nextFrame(inbound, how)) > 0;) {
        made.push(gathered(inbound.frameIovecsOffset, iovecs));
      }
      return made;
    },
    segments(frames) {
      const { outbound } = queue;
      outbound.count = 0;
      for (const frame of frames) {
        const i = outbound.add(frame.subarray(virtioBytes));
        outbound.virtio[i] = outbound.slot(i) - virtioBytes;
        bytes.set(frame.subarray(0, virtioBytes), outbound.slot(i) - virtioBytes);
      }
      const made: Uint8Array[] = [];
      for (let next = 0; next < outbound.count;) {
        next = kernels.segmentPackets(outbound, next);
        for (let s = 0; s < outbound.segmentCount; s++) {
          const [header = 0, headerLength = 0, payload = 0, payloadLength = 0] = outbound.segments.subarray(
            s * segmentWords,
          );
          made.push(
            joined([
              bytes.slice(header, header + headerLength),
              bytes.slice(payload, payload + payloadLength),
            ]),
          );
        }
      }
      return made;
    },
    messages(most) {
      const { outbound } = queue;
      const count = kernels.gatherMessages(outbound, 0, outbound.segmentCount, most);
      return Array.from({ length: count }, (_message, message) => {
        const at = outbound.sendMessagesOffset + 64 * message;
        const [start = 0, end = 0] = outbound.groups.subarray(message);
        const total = gathered(
          Number(view.getBigUint64(at + 16, true)),
          Number(view.getBigUint64(at + 24, true)),
        ).length;
        const size =
          view.getUint32(at + 40, true) === 0
            ? total
            : view.getUint16(Number(view.getBigUint64(at + 32, true)) + 16, true);
        const lengths = Array.from({ length: end - start }, (_, i) =>
          Math.max(0, Math.min(size, total - i * size)),
        );
        return lengths;
      });
    },
  };
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
