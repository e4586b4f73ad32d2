/**
 * The way back of a packet that was sent, and that a router of the underlay found too long:
 *
 * 1. receive what routers answered: the beginnings of our datagrams, as far as they quote them
 * 2. take the encapsulation off
 * 3. check that it began a packet from this host's own subnet, and look its peer up: anybody can send an ICMP error
 * 4. check that the path's MTU, which the kernel has learnt from the answer, is really less than the packet needs
 * 5. count, and answer its sender with an ICMP error
 *
 * So who sent the packet hears of it at once. What the router did not quote is answered when the next packet as long comes along.
 *
 * @module
 */
import { answerErrors, type LocalNode, type PacketBatch, Verdict } from "@loden/packet";
import { decapsulate } from "./encapsulate.ts";
import type { PacketPath } from "./outbound.ts";
import { isFragmentable } from "./path-mtu.ts";

/**
 * Answers what routers sent back since the last time.
 *
 * @param path the parts; its outbound batch is overwritten.
 */
export function passReturned(path: PacketPath): void {
  const { memory, kernels, queue, tun, udp, codec } = path;
  const { outbound, counters } = queue;
  if (udp.receiveErrors(outbound) === 0) return;
  path.noteNarrowPaths(outbound);
  decapsulate(outbound, codec);
  checkBeginnings(outbound, memory.local);
  kernels.routeToPeers(outbound, memory.peers);
  if (keepTooLong(path, outbound) === 0) return;
  kernels.countBatch(outbound, counters, "outbound");
  answerErrors(outbound, queue.replies, memory.local, queue.limiter, path.now, path.pathMtu);
  tun.write(queue.replies);
  queue.replies.count = 0;
}

/** As `checkPackets`, of packets that are cut off anywhere: an ICMP error needs the header and 8 bytes. */
function checkBeginnings(batch: PacketBatch, local: LocalNode): void {
  const { count, lengths, offsets, verdicts } = batch;
  for (let i = 0; i < count; i++) {
    if (verdicts[i] !== Verdict.pass) continue;
    const length = lengths[i] as number;
    if (length < 28) verdicts[i] = Verdict.tooShort;
    else if (!isFromHere(batch, offsets[i] as number, length, local)) verdicts[i] = Verdict.foreignSource;
  }
}

function isFromHere({ bytes, view }: PacketBatch, at: number, length: number, local: LocalNode): boolean {
  const version = (bytes[at] as number) >> 4;
  if (version === 6) return length >= 48 && local.holds(view, at + 8, 6);
  const header = ((bytes[at] as number) & 15) << 2;
  return version === 4 && header >= 20 && header + 8 <= length && local.holds(view, at + 12, 4);
}

/** Moves the packets that their path does not take to the front, as `tooBig`, and forgets the others; gives how many there are. */
function keepTooLong({ pathMtu }: PacketPath, batch: PacketBatch): number {
  const { bytes, view, count, offsets, lengths, verdicts, endpoints, peers } = batch;
  let kept = 0;
  for (let i = 0; i < count; i++) {
    if (verdicts[i] !== Verdict.pass) continue;
    const at = offsets[i] as number;
    const isIpv6 = (bytes[at] as number) >> 4 === 6;
    const sent = isIpv6 ? 40 + view.getUint16(at + 4, false) : view.getUint16(at + 2, false);
    if (isFragmentable(bytes, at, sent) || sent <= pathMtu(endpoints[i] as number)) continue;
    offsets[kept] = at;
    lengths[kept] = lengths[i] as number;
    endpoints[kept] = endpoints[i] as number;
    peers[kept] = peers[i] as number;
    verdicts[kept] = Verdict.tooBig;
    kept++;
  }
  batch.count = kept;
  return kept;
}
