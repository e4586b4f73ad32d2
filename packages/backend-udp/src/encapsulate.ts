import type { EncapCodec } from "@loden/encap";
import { Verdict, type PacketBatch } from "@loden/packet";

// Words of a segment: where its header lies, the header's length, where its payload lies, the payload's length.
const SEGMENT_WORDS = 8;

/**
 * Puts the encapsulation before each segment of a batch, in place.
 *
 * @param batch the segments, as `segmentPackets` left them.
 * @param codec the encapsulation.
 */
export function encapsulate(batch: PacketBatch, codec: EncapCodec): void {
  if (codec.overhead === 0) return;
  const { bytes, segments, segmentCount } = batch;
  for (let word = 0; word < segmentCount * SEGMENT_WORDS; word += SEGMENT_WORDS) {
    const header = segments[word] as number;
    const headerLength = segments[word + 1] as number;
    const start = codec.encode(bytes, header, headerLength + (segments[word + 3] as number));
    segments[word] = start;
    segments[word + 1] = headerLength + header - start;
  }
}

/**
 * Takes the encapsulation off each datagram of a batch, in place.
 *
 * @param batch the datagrams; one that does not decode is dropped as `badEncapsulation`.
 * @param codec the encapsulation.
 */
export function decapsulate(batch: PacketBatch, codec: EncapCodec): void {
  if (codec.overhead === 0) return;
  const { bytes, offsets, lengths, verdicts, count } = batch;
  for (let i = 0; i < count; i++) {
    if (verdicts[i] !== Verdict.pass) continue;
    const offset = offsets[i] as number;
    const start = codec.decode(bytes, offset, lengths[i] as number);
    if (start < 0) {
      verdicts[i] = Verdict.badEncapsulation;
      continue;
    }
    lengths[i] = (lengths[i] as number) - (start - offset);
    offsets[i] = start;
  }
}
