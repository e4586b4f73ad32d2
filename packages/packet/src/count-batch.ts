import type { QueueCounters } from "./counters.ts";
import type { PacketBatch } from "./packet-batch.ts";

const firstReason = 2;

/**
 * Last stage: counts a batch once: packets and bytes that passed, drops by reason.
 *
 * Lengths are taken as they stand: for the bytes of inner packets, call it before `encode`, or keep in mind the overhead.
 *
 * @param batch nothing in it changes.
 * @param counters of the queue whose pump calls.
 * @param direction which counters to add to.
 */
export function countBatch(
  batch: PacketBatch,
  counters: QueueCounters,
  direction: "outbound" | "inbound",
): void {
  const { count, lengths, verdicts, parts, wireBytes } = batch;
  const cells = counters[direction];
  for (let i = 0; i < count; i++) {
    const verdict = verdicts[i] ?? 0;
    if (verdict !== 0) {
      cells[firstReason + verdict] = (cells[firstReason + verdict] ?? 0) + 1;
      continue;
    }
    // A super-packet counts as what it was cut into.
    const cut = parts[i] ?? 0;
    cells[0] = (cells[0] ?? 0) + Math.max(1, cut);
    cells[1] = (cells[1] ?? 0) + ((cut === 0 ? lengths[i] : wireBytes[i]) ?? 0);
  }
}
