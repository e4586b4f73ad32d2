import type { LocalNode } from "./local-node.ts";
import type { PacketBatch } from "./packet-batch.ts";
import { prefixMask } from "./prefix-mask.ts";
import { Verdict } from "./verdict.ts";

/**
 * Stage: drops packets whose inner destination isn't in our own subnet, as `foreignDestination`. (flannel passes them to
 * the kernel, which routes them anywhere.)
 *
 * @param batch packets checked by `checkPackets`; `verdicts` change.
 * @param local our own subnet.
 */
export function checkDestinations(batch: PacketBatch, local: LocalNode): void {
  const { count, offsets, verdicts, view } = batch;
  const mask = prefixMask(local.prefixLength);
  const network = local.network & mask;
  for (let i = 0; i < count; i++) {
    if (verdicts[i] !== Verdict.pass) continue;
    const destination = view.getInt32((offsets[i] ?? 0) + 16, false);
    if ((destination & mask) !== network) verdicts[i] = Verdict.foreignDestination;
  }
}
