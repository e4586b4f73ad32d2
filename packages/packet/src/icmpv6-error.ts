import type { IcmpCause } from "./answer-errors.ts";
import { checksum } from "./checksum.ts";
import { HEADROOM } from "./layout.ts";
import type { LocalNode } from "./local-node.ts";
import { readIpv6, writeIpv6 } from "./packet-address.ts";
import type { PacketBatch } from "./packet-batch.ts";
import { pseudoHeaderSum } from "./pseudo-header.ts";

const icmpv6 = 58;
const hopLimit = 64;
const headerBytes = 48;
// Every IPv6 path takes as much: no error is longer, and none tells of less (RFC 8200, 5).
const leastMtu = 1280;
// ICMPv6 type and code as one number.
const messages: Record<IcmpCause, number> = { noRoute: 0x0100, ttlExpired: 0x0300, tooBig: 0x0200 };
const redirect = 137;
// Extension headers that may come before the payload (RFC 8200, 4.1), with their lengths in units of 8 bytes, but for the first; that of
// the authentication header (RFC 4302) is in units of 4.
const hopByHop = 0;
const routing = 43;
const fragment = 44;
const authentication = 51;
const destinationOptions = 60;

/** Whether an IPv6 packet may be answered with an ICMPv6 error: see `answerErrors`. */
export function isIcmpv6Answerable(bytes: Uint8Array, local: LocalNode, at: number, length: number): boolean {
  if (local.prefixLength6 === 0 || bytes[at + 24] === 0xff) return false;
  return isSingleHost(bytes, at + 8) && isAnswerablePayload(bytes, at, at + length);
}

// Neither multicast, nor :: or ::1.
function isSingleHost(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] === 0xff) return false;
  for (let i = 0; i < 15; i++) if (bytes[at + i] !== 0) return true;
  return (bytes[at + 15] ?? 0) > 1;
}

// What is cut off can be no ICMPv6 error that we know of; Linux answers such packets, too.
function isAnswerablePayload(bytes: Uint8Array, packet: number, end: number): boolean {
  let next = bytes[packet + 6] ?? 0;
  let at = packet + 40;
  while (at + 8 <= end) {
    if (next === icmpv6) {
      const type = bytes[at] ?? 0;
      return type >= 128 && type !== redirect;
    }
    if (next === fragment) {
      const offset = ((bytes[at + 2] ?? 0) << 8) | ((bytes[at + 3] ?? 0) & 0xf8);
      if (offset !== 0) return false;
    } else if (
      next !== hopByHop &&
      next !== routing &&
      next !== destinationOptions &&
      next !== authentication
    ) {
      return true;
    }
    const unit = next === authentication ? 4 : 8;
    const bytesOfHeader = next === fragment ? 8 : 8 + unit * (bytes[at + 1] ?? 0);
    next = bytes[at] ?? 0;
    at += bytesOfHeader;
  }
  return next !== icmpv6;
}

/** Adds an ICMPv6 error about an IPv6 packet; gives its index. `mtu` is 0 but for `tooBig`. */
export function addIcmpv6Error(
  replies: PacketBatch,
  offender: number,
  offenderLength: number,
  cause: IcmpCause,
  local: LocalNode,
  mtu: number,
): number {
  const { bytes, view, slotBytes } = replies;
  const at = replies.slot(replies.count);
  const quoted = Math.min(offenderLength, Math.min(leastMtu, slotBytes - HEADROOM) - headerBytes);
  const length = headerBytes + quoted;
  const source = local.address6;
  const destination = readIpv6(view, offender + 8);
  bytes.fill(0, at, at + headerBytes);
  bytes.copyWithin(at + headerBytes, offender, offender + quoted);

  bytes[at] = 0x60;
  view.setUint16(at + 4, length - 40, false);
  bytes[at + 6] = icmpv6;
  bytes[at + 7] = hopLimit;
  writeIpv6(view, at + 8, source);
  writeIpv6(view, at + 24, destination);
  view.setUint16(at + 40, messages[cause], false);
  view.setUint32(at + 44, cause === "tooBig" ? Math.max(mtu, leastMtu) : 0, false);
  const pseudoSum = pseudoHeaderSum(source, destination, icmpv6, length - 40);
  view.setUint16(at + 42, checksum(bytes, at + 40, length - 40, pseudoSum), false);
  return replies.append(length);
}
