import type { PacketBatch } from "./packet-batch.ts";
import { Verdict } from "./verdict.ts";

/**
 * Stage: drops what isn't exactly one IPv4 or IPv6 packet. Drops as `tooShort`, `badVersion`, `badLength`.
 *
 * The length in the header must be the packet's length: a datagram is neither cut nor padded (flannel passes both on). A
 * jumbogram (RFC 2675), whose header has length 0, isn't one either. Header checksums are not verified: the receiving host does.
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
  if (version === 6) {
    if (length < 40) return Verdict.tooShort;
    return view.getUint16(at + 4, false) + 40 === length ? Verdict.pass : Verdict.badLength;
  }
  if (version !== 4) return Verdict.badVersion;
  const headerLength = (first & 15) << 2;
  if (headerLength < 20 || headerLength > length) return Verdict.badLength;
  return view.getUint16(at + 2, false) === length ? Verdict.pass : Verdict.badLength;
}
