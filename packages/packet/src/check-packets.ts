import type { PacketBatch } from "./packet-batch.ts";
import { Verdict } from "./verdict.ts";

/**
 * Stage: drops what isn't exactly one IPv4 packet. Drops as `tooShort`, `notIpv4` (version 6), `badVersion`, `badLength`.
 *
 * The total length must be the packet's length: a datagram is neither cut nor padded (flannel passes both on). Header
 * checksums are not verified: the receiving host does.
 *
 * @param batch packets with verdict pass are looked at; `verdicts` change.
 */
export function checkPackets(batch: PacketBatch): void {
  const { count, offsets, lengths, verdicts, bytes, view } = batch;
  for (let i = 0; i < count; i++) {
    if (verdicts[i] === Verdict.pass)
      verdicts[i] = checkPacket(bytes, view, offsets[i] ?? 0, lengths[i] ?? 0);
  }
}

function checkPacket(bytes: Uint8Array, view: DataView, at: number, length: number): Verdict {
  if (length < 20) return Verdict.tooShort;
  const first = bytes[at] ?? 0;
  const version = first >>> 4;
  if (version !== 4) return version === 6 ? Verdict.notIpv4 : Verdict.badVersion;
  const headerLength = (first & 15) << 2;
  if (headerLength < 20 || headerLength > length) return Verdict.badLength;
  return view.getUint16(at + 2, false) === length ? Verdict.pass : Verdict.badLength;
}
