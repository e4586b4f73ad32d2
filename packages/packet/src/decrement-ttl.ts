import type { PacketBatch } from "./packet-batch.ts";
import { Verdict } from "./verdict.ts";

/**
 * Stage: takes one from the TTL and updates the header checksum incrementally (RFC 1624), or from the hop limit. Drops 0 and 1 as
 * `ttlExpired`, unchanged, so that they can be quoted. (flannel drops 1 silently and turns 0 into 255.)
 *
 * @param batch packets checked by `checkPackets`; the packets that pass and `verdicts` change.
 */
export function decrementTtl(batch: PacketBatch): void {
  const { count, offsets, verdicts, bytes, view } = batch;
  for (let i = 0; i < count; i++) {
    if (verdicts[i] !== Verdict.pass) continue;
    const at = offsets[i] ?? 0;
    const isIpv4 = (bytes[at] ?? 0) >>> 4 === 4;
    const place = at + (isIpv4 ? 8 : 7);
    const ttl = bytes[place] ?? 0;
    if (ttl <= 1) {
      verdicts[i] = Verdict.ttlExpired;
      continue;
    }
    bytes[place] = ttl - 1;
    if (isIpv4) view.setUint16(at + 10, checksumAfterDecrement(view.getUint16(at + 10, false)), false);
  }
}

/**
 * Gives the header checksum after the TTL went down by one: plus 0x0100 in ones' complement.
 *
 * @param checksum the header's checksum before, 0 to 65535.
 * @returns the checksum after. A right one stays right and a wrong one wrong.
 */
export function checksumAfterDecrement(checksum: number): number {
  const sum = checksum + 0x0100;
  return sum >= 0xffff ? (sum + 1) & 0xffff : sum;
}
