import type { PacketBatch } from "./packet-batch.ts";
import { Verdict } from "./verdict.ts";

/**
 * Stage: drops packets longer than the tunnel MTU, as `tooBig`.
 *
 * @param batch `verdicts` change.
 * @param maximum longest inner packet in bytes.
 */
export function checkSizes(batch: PacketBatch, maximum: number): void {
  const { count, lengths, verdicts } = batch;
  for (let i = 0; i < count; i++) {
    if (verdicts[i] === Verdict.pass && (lengths[i] ?? 0) > maximum) verdicts[i] = Verdict.tooBig;
  }
}
