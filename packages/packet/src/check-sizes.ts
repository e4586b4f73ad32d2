import { virtioBytes } from "./layout.ts";
import type { PacketBatch } from "./packet-batch.ts";
import { superHeaderLength } from "./segment-packet.ts";
import { Verdict } from "./verdict.ts";
import { decodeVirtioHeader } from "./virtio-header.ts";

/**
 * Stage: drops packets longer than the tunnel MTU, as `tooBig`. Of a super-packet, what counts is how long its packets will be;
 * one that can't be cut is dropped as `badLength`.
 *
 * @param batch `verdicts` change.
 * @param maximum longest inner packet in bytes.
 */
export function checkSizes(batch: PacketBatch, maximum: number): void {
  const { count, lengths, verdicts } = batch;
  for (let i = 0; i < count; i++) {
    if (verdicts[i] !== Verdict.pass || (lengths[i] ?? 0) <= maximum) continue;
    const length = lengthOnWire(batch, i);
    if (length === undefined) verdicts[i] = Verdict.badLength;
    else if (length > maximum) verdicts[i] = Verdict.tooBig;
  }
}

function lengthOnWire(batch: PacketBatch, i: number): number | undefined {
  const at = batch.virtio[i] ?? 0;
  if (at === 0) return batch.lengths[i];
  const virtio = decodeVirtioHeader(batch.bytes.subarray(at, at + virtioBytes));
  if (virtio?.kind === "none") return batch.lengths[i];
  const header = virtio === undefined ? undefined : superHeaderLength(batch.packet(i), virtio);
  return header === undefined ? undefined : header + (virtio?.segmentSize ?? 0);
}
