import { checksum } from "./checksum.ts";
import { HEADROOM } from "./layout.ts";
import type { LocalNode } from "./local-node.ts";
import { Direction, type PacketBatch } from "./packet-batch.ts";
import type { RateLimiter } from "./rate-limiter.ts";
import { Verdict } from "./verdict.ts";

const protocolIcmp = 1;
const replyTtl = 8;
const replyHeaderBytes = 28;
const quotedPayloadBytes = 8;

/**
 * Stage: makes ICMP errors for packets that were dropped as `noRoute` (type 3 code 0, net unreachable), `ttlExpired` (type 11
 * code 0, time exceeded) or `tooBig` (type 3 code 4, with the MTU of the tunnel or the path). Adds them to `replies`.
 *
 * An error is built as flannel builds it: header length 20, TOS 0, id 0, TTL 8, from our tunnel address to the offender's
 * source, quoting the offender's header and 8 bytes after it, or what there is of them. None is made for an offender that is
 * ICMP of any type, a fragment but the first, or has a header of 60 bytes (flannel's rules), nor for a destination that is
 * multicast or broadcast or a source that is no single host (RFC 1122, 3.2.2).
 *
 * Replies to outbound packets go back to the TUN device: their endpoint is 0. Replies to inbound packets go to the peer that
 * sent the offender: `peers` and `endpoints` are copied from it, as `checkSenders` left them.
 *
 * @param batch dropped packets, not modified since they were read. Nothing in it changes.
 * @param replies the queue's replies batch; errors are added after those it holds, and when it is full they are suppressed.
 * @param local our tunnel address and MTU.
 * @param limiter one token for each error; without one it is suppressed and counted.
 * @param now any steady clock in milliseconds; asked once, and only when an error is due: a time is an object on the heap.
 * @param pathMtu gives the longest inner packet on the way to an endpoint (an offset as in `endpoints`), where it is known
 *   better than our MTU says; asked for packets that were too big.
 */
export function answerErrors(
  batch: PacketBatch,
  replies: PacketBatch,
  local: LocalNode,
  limiter: RateLimiter,
  now: () => number,
  pathMtu?: (endpoint: number) => number,
): void {
  const { count, offsets, lengths, verdicts, bytes, view } = batch;
  let nowMs = -1;
  for (let i = 0; i < count; i++) {
    const message = messageFor(verdicts[i] ?? 0);
    if (message < 0) continue;
    const at = offsets[i] ?? 0;
    const length = lengths[i] ?? 0;
    if (!isAnswerable(bytes, view, at)) continue;
    if (replies.count >= replies.capacity) {
      limiter.suppress();
      continue;
    }
    if (nowMs < 0) nowMs = now();
    if (!limiter.take(nowMs)) continue;
    const mtu =
      verdicts[i] === Verdict.tooBig
        ? Math.min(local.mtu, pathMtu?.(batch.endpoints[i] ?? 0) ?? local.mtu)
        : 0;
    const reply = addReply(replies, at, length, message, local.address, mtu);
    const inbound = batch.direction === Direction.inbound;
    replies.peers[reply] = inbound ? (batch.peers[i] ?? -1) : -1;
    replies.endpoints[reply] = inbound ? (batch.endpoints[i] ?? 0) : 0;
  }
}

// ICMP type and code as one number, or -1 for a verdict that isn't answered.
function messageFor(verdict: number): number {
  if (verdict === Verdict.noRoute) return 0x0300;
  if (verdict === Verdict.ttlExpired) return 0x0b00;
  return verdict === Verdict.tooBig ? 0x0304 : -1;
}

function isAnswerable(bytes: Uint8Array, view: DataView, at: number): boolean {
  if ((bytes[at] ?? 0) === 0x4f) return false;
  if (bytes[at + 9] === protocolIcmp) return false;
  if ((view.getUint16(at + 6, false) & 0x1fff) !== 0) return false;
  const source = bytes[at + 12] ?? 0;
  const destination = view.getUint32(at + 16, false);
  // 0/8 unspecified, 127/8 loopback, 224/3 multicast, reserved and broadcast
  if (source === 0 || source === 127 || source >= 224) return false;
  return (destination < 0xe000_0000 || destination >= 0xf000_0000) && destination !== 0xffff_ffff;
}

function addReply(
  replies: PacketBatch,
  offender: number,
  offenderLength: number,
  message: number,
  source: number,
  mtu: number,
): number {
  const { bytes, view, slotBytes } = replies;
  const reply = replies.count;
  const at = replies.slot(reply);
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
  view.setUint32(at + 12, source, false);
  view.setUint32(at + 16, view.getUint32(offender + 12, false), false);
  view.setUint16(at + 10, checksum(bytes, at, 20), false);
  view.setUint16(at + 20, message, false);
  view.setUint16(at + 26, mtu, false);
  view.setUint16(at + 22, checksum(bytes, at + 20, length - 20), false);

  replies.offsets[reply] = at;
  replies.lengths[reply] = length;
  replies.verdicts[reply] = Verdict.pass;
  replies.count = reply + 1;
  return reply;
}
