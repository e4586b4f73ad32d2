import type { IcmpCause } from "./answer-errors.ts";
import { checksum } from "./checksum.ts";
import { HEADROOM } from "./layout.ts";
import type { LocalNode } from "./local-node.ts";
import type { PacketBatch } from "./packet-batch.ts";

const protocolIcmp = 1;
const replyTtl = 8;
const replyHeaderBytes = 28;
const quotedPayloadBytes = 8;
// ICMP type and code as one number.
const messages: Record<IcmpCause, number> = { noRoute: 0x0300, ttlExpired: 0x0b00, tooBig: 0x0304 };

/** Whether an IPv4 packet may be answered with an ICMP error: see `answerErrors`. */
export function isIcmpAnswerable(bytes: Uint8Array, view: DataView, at: number): boolean {
  if ((bytes[at] ?? 0) === 0x4f) return false;
  if (bytes[at + 9] === protocolIcmp) return false;
  if ((view.getUint16(at + 6, false) & 0x1fff) !== 0) return false;
  const source = bytes[at + 12] ?? 0;
  const destination = view.getUint32(at + 16, false);
  // 0/8 unspecified, 127/8 loopback, 224/3 multicast, reserved and broadcast
  if (source === 0 || source === 127 || source >= 224) return false;
  return (destination < 0xe000_0000 || destination >= 0xf000_0000) && destination !== 0xffff_ffff;
}

/** Adds an ICMP error about an IPv4 packet; gives its index. `mtu` is 0 but for `tooBig`. */
export function addIcmpError(
  replies: PacketBatch,
  offender: number,
  offenderLength: number,
  cause: IcmpCause,
  local: LocalNode,
  mtu: number,
): number {
  const { bytes, view, slotBytes } = replies;
  const at = replies.slot(replies.count);
  const quoted = Math.min(
    (((bytes[offender] ?? 0) & 15) << 2) + quotedPayloadBytes,
    offenderLength,
    slotBytes - HEADROOM - replyHeaderBytes,
  );
  const length = replyHeaderBytes + quoted;
  bytes.fill(0, at, at + replyHeaderBytes);
  bytes.copyWithin(at + replyHeaderBytes, offender, offender + quoted);

  bytes[at] = 0x45;
  view.setUint16(at + 2, length, false);
  bytes[at + 8] = replyTtl;
  bytes[at + 9] = protocolIcmp;
  view.setUint32(at + 12, local.address, false);
  view.setUint32(at + 16, view.getUint32(offender + 12, false), false);
  view.setUint16(at + 10, checksum(bytes, at, 20), false);
  view.setUint16(at + 20, messages[cause], false);
  view.setUint16(at + 26, mtu, false);
  view.setUint16(at + 22, checksum(bytes, at + 20, length - 20), false);
  return replies.append(length);
}
