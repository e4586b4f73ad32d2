import { createPacketMemory, Join, kernelsOf, type PacketQueue, SegmentWord } from "@loden/packet";

const BATCH = 64;
const VIRTIO_BYTES = 10;
const IOVEC_BYTES = 16;

/** What {@link joinAndCut} made. */
export interface Joined {
  /** How many pieces the packets were joined into. */
  readonly frames: number;
  /** The packets that these pieces were cut into again. */
  readonly packets: readonly Uint8Array[];
}

/**
 * Joins packets as the receiver does, batch by batch, and cuts what comes out as the sender does.
 *
 * @param packets in the order in which they came.
 * @returns how many pieces there were, and the packets: the same bytes, if all is well.
 */
export function joinAndCut(packets: readonly Uint8Array[]): Joined {
  const memory = createPacketMemory({ batch: BATCH, peers: 4 });
  const kernels = kernelsOf(memory);
  const { bytes, view } = memory;
  const { inbound, outbound } = memory.queues[0] as PacketQueue;
  const made: Uint8Array[] = [];
  let frames = 0;
  for (let from = 0; from < packets.length; from += BATCH) {
    inbound.count = 0;
    inbound.frameNext = 0;
    for (const packet of packets.slice(from, from + BATCH)) inbound.add(packet);
    for (let iovecs = 0; (iovecs = kernels.nextFrame(inbound, Join.virtio | Join.tcp | Join.udp)) > 0;) {
      frames++;
      cut(gather(inbound.frameIovecsOffset, iovecs));
    }
  }
  return { frames, packets: made };

  /** The address of the memory is 0 here, so iovecs hold offsets. */
  function gather(at: number, count: number): Uint8Array {
    return Buffer.concat(
      Array.from({ length: count }, (_, i) => {
        const start = Number(view.getBigUint64(at + i * IOVEC_BYTES, true));
        return bytes.slice(start, start + Number(view.getBigUint64(at + i * IOVEC_BYTES + 8, true)));
      }),
    );
  }

  function cut(frame: Uint8Array): void {
    outbound.count = 0;
    outbound.add(frame.subarray(VIRTIO_BYTES));
    outbound.virtio[0] = outbound.slot(0) - VIRTIO_BYTES;
    bytes.set(frame.subarray(0, VIRTIO_BYTES), outbound.slot(0) - VIRTIO_BYTES);
    kernels.segmentPackets(outbound, 0);
    for (let at = 0; at < outbound.segmentCount * SegmentWord.count; at += SegmentWord.count) {
      const word = (name: keyof typeof SegmentWord): number => outbound.segments[at + SegmentWord[name]] ?? 0;
      const piece = (start: number, length: number): Uint8Array => bytes.slice(start, start + length);
      made.push(
        Buffer.concat([
          piece(word("header"), word("headerLength")),
          piece(word("payload"), word("payloadLength")),
        ]),
      );
    }
  }
}
