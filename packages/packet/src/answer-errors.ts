import { Direction, type PacketBatch } from "./packet-batch.ts";
import { addIcmpError, isIcmpAnswerable } from "./icmp-error.ts";
import { addIcmpv6Error, isIcmpv6Answerable } from "./icmpv6-error.ts";
import type { LocalNode } from "./local-node.ts";
import type { RateLimiter } from "./rate-limiter.ts";
import { Verdict } from "./verdict.ts";

/** Why a packet can't go on, as far as its sender is told. */
export type IcmpCause = "noRoute" | "ttlExpired" | "tooBig";

/**
 * Stage: makes ICMP errors for packets that were dropped as `noRoute` (ICMP type 3 code 0, net unreachable; ICMPv6 type 1 code
 * 0), `ttlExpired` (type 11 code 0, time exceeded; type 3 code 0) or `tooBig` (type 3 code 4, fragmentation needed; type 2,
 * packet too big), the last with the MTU of the tunnel or the path. Adds them to `replies`.
 *
 * An ICMP error is built as flannel builds it: header length 20, TOS 0, id 0, TTL 8, from our tunnel address to the offender's
 * source, quoting the offender's header and 8 bytes after it, or what there is of them. None is made for an offender that is
 * ICMP of any type, a fragment but the first, or has a header of 60 bytes (flannel's rules), nor for a destination that is
 * multicast or broadcast or a source that is no single host (RFC 1122, 3.2.2).
 *
 * An ICMPv6 error quotes as much as fits 1,280 bytes; its MTU is 1,280 at least, which every IPv6 path takes. None is made for an
 * offender that is an ICMPv6 error or redirect, a fragment but the first, goes to a multicast address or comes from an address
 * that is no single host (RFC 4443, 2.4), nor while this host has no IPv6 subnet.
 *
 * Replies to outbound packets go back to the TUN device: their endpoint is 0. Replies to inbound packets go to the peer that
 * sent the offender: `peers` and `endpoints` are copied from it, as `checkSenders` left them.
 *
 * @param batch dropped packets, not modified since they were read. Nothing in it changes.
 * @param replies the queue's replies batch; errors are added after those it holds, and when it is full they are suppressed.
 * @param local our tunnel addresses and MTU.
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
    const cause = causeOf(verdicts[i] ?? 0);
    if (cause === undefined) continue;
    const at = offsets[i] ?? 0;
    const length = lengths[i] ?? 0;
    const isIpv4 = (bytes[at] ?? 0) >>> 4 === 4;
    if (!(isIpv4 ? isIcmpAnswerable(bytes, view, at) : isIcmpv6Answerable(bytes, local, at, length)))
      continue;
    if (replies.count >= replies.capacity) {
      limiter.suppress();
      continue;
    }
    if (nowMs < 0) nowMs = now();
    if (!limiter.take(nowMs)) continue;
    const mtu = cause === "tooBig" ? Math.min(local.mtu, pathMtu?.(batch.endpoints[i] ?? 0) ?? local.mtu) : 0;
    const add = isIpv4 ? addIcmpError : addIcmpv6Error;
    const reply = add(replies, at, length, cause, local, mtu);
    const inbound = batch.direction === Direction.inbound;
    replies.peers[reply] = inbound ? (batch.peers[i] ?? -1) : -1;
    replies.endpoints[reply] = inbound ? (batch.endpoints[i] ?? 0) : 0;
  }
}

function causeOf(verdict: number): IcmpCause | undefined {
  if (verdict === Verdict.noRoute) return "noRoute";
  if (verdict === Verdict.ttlExpired) return "ttlExpired";
  return verdict === Verdict.tooBig ? "tooBig" : undefined;
}
