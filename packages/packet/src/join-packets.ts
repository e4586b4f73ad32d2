import { checksum } from "./checksum.ts";
import { segmentPacket } from "./segment-packet.ts";
import { pseudoSumOf } from "./transport-checksum.ts";
import type { VirtioHeader } from "./virtio-header.ts";

/** A packet or super-packet with what is left to do on it. */
export interface Frame {
  /** What is left to do. */
  readonly virtio: VirtioHeader;
  /** The bytes from the IP header on. */
  readonly packet: Uint8Array;
}

const finished: VirtioHeader = {
  needsChecksum: false,
  kind: "none",
  hasCwr: false,
  headerLength: 0,
  segmentSize: 0,
  checksumStart: 0,
  checksumOffset: 0,
};
const finAndPush = 0x09;
const cwr = 0x80;

/**
 * Joins consecutive packets of one flow into super-packets: the model of the kernel `nextFrame`, and so slow that it is obvious.
 * A packet is joined when cutting what comes out gives back exactly what went in.
 *
 * Joined are TCP packets with ACK and UDP packets, without IPv4 options or extension headers or fragments; all but the last
 * of a super-packet are of one length; PSH or FIN ends one.
 *
 * @param packets whole packets. @param join which protocols to join.
 * @returns the frames, owned copies, in order.
 */
export function joinPackets(packets: readonly Uint8Array[], join: { tcp: boolean; udp: boolean }): Frame[] {
  const frames: Frame[] = [];
  for (let i = 0; i < packets.length;) {
    let frame: Frame = { virtio: finished, packet: (packets[i] ?? new Uint8Array()).slice() };
    let end = i + 1;
    for (; end < packets.length; end++) {
      const longer = joinAll(packets.slice(i, end + 1), join);
      if (longer === undefined) break;
      frame = longer;
    }
    frames.push(frame);
    i = end;
  }
  return frames;
}

function joinAll(packets: readonly Uint8Array[], join: { tcp: boolean; udp: boolean }): Frame | undefined {
  const [first = new Uint8Array()] = packets;
  const last = packets.at(-1) ?? first;
  const isIpv4 = (first[0] ?? 0) >> 4 === 4;
  const protocol = isIpv4 ? first[9] : first[6];
  const tcp = protocol === 6;
  if (isIpv4 ? first[0] !== 0x45 : (first[0] ?? 0) >> 4 !== 6) return undefined;
  if (isIpv4 && ((first[6] ?? 0) & 0xbf) + (first[7] ?? 0) !== 0) return undefined;
  if (!(tcp ? join.tcp : protocol === 17 && join.udp)) return undefined;
  const l4 = isIpv4 ? 20 : 40;
  if (first.length < l4 + (tcp ? 20 : 8)) return undefined;
  const header = tcp ? l4 + ((first[l4 + 12] ?? 0) >> 4) * 4 : l4 + 8;
  const flags = tcp ? (first[l4 + 13] ?? 0) : 0;
  // SYN, RST, URG are never joined, nor is a packet without ACK.
  if (tcp && (header < l4 + 20 || (flags & 0x36) !== 0x10)) return undefined;
  const size = first.length - header;
  const lengths = packets.map((packet) => packet.length);
  const ends = packets.map((packet) => tcp && ((packet[l4 + 13] ?? 0) & finAndPush) !== 0);
  if (Math.min(...lengths) <= header || Math.max(...lengths) > first.length) return undefined;
  if (lengths.slice(0, -1).some((length, i) => length !== first.length || ends[i] === true)) return undefined;
  // As many iovecs as a system call takes; and kernels refuse more segments of UDP.
  if (packets.length > (tcp ? 1022 : 64)) return undefined;

  const length = lengths.reduce((sum, own) => sum + own - header, header);
  if (length > 65_535 || (!tcp && first[l4 + 6] === 0 && first[l4 + 7] === 0)) return undefined;
  const packet = new Uint8Array(length);
  packet.set(first.subarray(0, header));
  packets.forEach((own, i) => packet.set(own.subarray(header), header + i * size));
  const view = new DataView(packet.buffer);
  if (tcp) packet[l4 + 13] = flags | ((last[l4 + 13] ?? 0) & finAndPush);
  else view.setUint16(l4 + 4, length - l4);
  if (isIpv4) {
    view.setUint16(2, length);
    view.setUint16(10, 0);
    view.setUint16(10, checksum(packet, 0, 20));
  } else {
    view.setUint16(4, length - 40);
  }
  // The complement of the checksum of nothing is the folded sum of the pseudo header.
  view.setUint16(
    l4 + (tcp ? 16 : 6),
    ~checksum(packet, 0, 0, pseudoSumOf(packet, l4, tcp ? 6 : 17)) & 0xffff,
  );
  const frame: Frame = {
    virtio: {
      needsChecksum: true,
      kind: tcp ? (isIpv4 ? "tcp4" : "tcp6") : "udp",
      hasCwr: tcp && (flags & cwr) !== 0,
      headerLength: header,
      segmentSize: size,
      checksumStart: l4,
      checksumOffset: tcp ? 16 : 6,
    },
    packet,
  };
  const back = segmentPacket(packet, frame.virtio);
  const same =
    back !== undefined &&
    back.length === packets.length &&
    back.every(
      (own, i) => own.length === packets[i]?.length && own.every((byte, at) => byte === packets[i]?.[at]),
    );
  return same ? frame : undefined;
}
