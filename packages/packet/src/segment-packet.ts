import { checksum } from "./checksum.ts";
import type { VirtioHeader } from "./virtio-header.ts";

const finAndPush = 0x09;
const cwr = 0x80;

/**
 * Cuts a super-packet into the packets that go on the wire, as a network card does: the model of the kernel `segmentPackets`.
 *
 * Each packet gets lengths and checksums of its own; the IPv4 id counts up, so does TCP's sequence number; FIN and PSH stay
 * on the last packet alone, CWR on the first. Everything else is the same in all.
 *
 * @param packet the super-packet, or one whose checksum is to be filled in, or one that is finished.
 * @param virtio what is left to do.
 * @returns the packets, owned copies; undefined when header and packet don't fit together.
 */
export function segmentPacket(packet: Uint8Array, virtio: VirtioHeader): Uint8Array[] | undefined {
  if (virtio.kind === "none") {
    const finished = virtio.needsChecksum ? fillChecksum(packet, virtio) : packet.slice();
    return finished === undefined ? undefined : [finished];
  }
  const { checksumStart: l4, segmentSize } = virtio;
  const tcp = virtio.kind !== "udp";
  const header = superHeaderLength(packet, virtio);
  if (header === undefined) return undefined;
  const count = Math.ceil((packet.length - header) / segmentSize);
  return Array.from({ length: count }, (_, i) => {
    const payload = packet.subarray(header + i * segmentSize, header + (i + 1) * segmentSize);
    const segment = new Uint8Array(header + payload.length);
    const view = new DataView(segment.buffer);
    segment.set(packet.subarray(0, header));
    segment.set(payload, header);
    if (tcp) {
      view.setUint32(l4 + 4, (view.getUint32(l4 + 4) + i * segmentSize) >>> 0);
      const flags = segment[l4 + 13] ?? 0;
      segment[l4 + 13] = flags & ~(i < count - 1 ? finAndPush : 0) & ~(i > 0 ? cwr : 0);
    } else {
      view.setUint16(l4 + 4, segment.length - l4);
    }
    finishIpHeader(segment, l4, i);
    // The field holds the sum of the pseudo header with the length of the super-packet.
    const field = l4 + virtio.checksumOffset;
    const pseudoSum = view.getUint16(field) + 0xffff - (packet.length - l4) + segment.length - l4;
    view.setUint16(field, 0);
    const sum = checksum(segment, l4, segment.length - l4, pseudoSum);
    view.setUint16(field, sum === 0 && !tcp ? 0xffff : sum);
    return segment;
  });
}

/**
 * Gives the length of the headers of a super-packet, each segment's length but for its payload.
 *
 * @param packet the super-packet. @param virtio its virtio header, of a kind other than `none`.
 * @returns undefined when the two don't fit together.
 */
export function superHeaderLength(packet: Uint8Array, virtio: VirtioHeader): number | undefined {
  const { kind, checksumStart: l4, segmentSize, needsChecksum, checksumOffset } = virtio;
  const version = (packet[0] ?? 0) >> 4;
  if (segmentSize === 0 || !needsChecksum) return undefined;
  if (l4 < (version === 4 ? 20 : 40) || l4 + (kind === "udp" ? 8 : 20) > packet.length) return undefined;
  const header = kind === "udp" ? l4 + 8 : l4 + ((packet[l4 + 12] ?? 0) >> 4) * 4;
  if (checksumOffset !== (kind === "udp" ? 6 : 16)) return undefined;
  if (kind !== "udp" && (header < l4 + 20 || (kind === "tcp4") !== (version === 4))) return undefined;
  return header >= packet.length || header > 176 ? undefined : header;
}

function finishIpHeader(segment: Uint8Array, l4: number, number: number): void {
  const view = new DataView(segment.buffer);
  if ((segment[0] ?? 0) >> 4 !== 4) {
    view.setUint16(4, segment.length - 40);
    return;
  }
  view.setUint16(2, segment.length);
  view.setUint16(4, (view.getUint16(4) + number) & 0xffff);
  view.setUint16(10, 0);
  view.setUint16(10, checksum(segment, 0, l4));
}

function fillChecksum(packet: Uint8Array, virtio: VirtioHeader): Uint8Array | undefined {
  const { checksumStart: start, checksumOffset } = virtio;
  if (start >= packet.length || start + checksumOffset + 2 > packet.length) return undefined;
  const finished = packet.slice();
  const sum = checksum(packet, start);
  new DataView(finished.buffer).setUint16(
    start + checksumOffset,
    sum === 0 && checksumOffset === 6 ? 0xffff : sum,
  );
  return finished;
}
