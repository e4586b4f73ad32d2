import type { EncapCodec } from "@loden/encap";
import { SegmentWord, Verdict, type PacketBatch } from "@loden/packet";

/**
 * Puts the encapsulation before each segment of a batch, in place.
 *
 * @param batch the segments, as `segmentPackets` left them.
 * @param codec the encapsulation.
 */
export function encapsulate(batch: PacketBatch, codec: EncapCodec): void {
  if (codec.overhead === 0) return;
  const { bytes, segments, segmentCount } = batch;
  const { count, header, headerLength, payloadLength } = SegmentWord;
  for (let at = 0; at < segmentCount * count; at += count) {
    const offset = segments[at + header] as number;
    const length = segments[at + headerLength] as number;
    const start = codec.encode(bytes, offset, length + (segments[at + payloadLength] as number));
    segments[at + header] = start;
    segments[at + headerLength] = length + offset - start;
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
