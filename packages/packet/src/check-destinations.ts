import type { LocalNode } from "./local-node.ts";
import { maskIpv6, readIpv6 } from "./packet-address.ts";
import type { PacketBatch } from "./packet-batch.ts";
import { prefixMask } from "./prefix-mask.ts";
import { Verdict } from "./verdict.ts";

/**
 * Stage: drops packets whose inner destination isn't in our own subnet of its family, as `foreignDestination`. (flannel passes them to
 * the kernel, which routes them anywhere.)
 *
 * @param batch packets checked by `checkPackets`; `verdicts` change.
 * @param local our own subnets.
 */
export function checkDestinations(batch: PacketBatch, local: LocalNode): void {
  const { count, offsets, verdicts, bytes, view } = batch;
  for (let i = 0; i < count; i++) {
    if (verdicts[i] !== Verdict.pass) continue;
    const at = offsets[i] ?? 0;
    const isOurs =
      (bytes[at] ?? 0) >>> 4 === 4
        ? isIn(local.network, local.prefixLength, view.getUint32(at + 16, false))
        : isInIpv6(local.network6, local.prefixLength6, readIpv6(view, at + 24));
    if (!isOurs) verdicts[i] = Verdict.foreignDestination;
  }
}

function isIn(network: number, length: number, address: number): boolean {
  return length > 0 && ((network ^ address) & prefixMask(length)) === 0;
}

function isInIpv6(network: bigint, length: number, address: bigint): boolean {
  return length > 0 && maskIpv6(network, length) === maskIpv6(address, length);
}
