// Cuts super-packets into the packets that go on the wire: their headers are made in the arena, their payload stays where it is.
import { fold, sum, swap16 } from "./checksum";
import { count, field, lengths, offsets, parts, verdicts, virtio, wireBytes } from "./columns";
import {
  arenaBytes,
  BatchField_arenaOffset,
  BatchField_segmentCapacity,
  BatchField_segmentCount,
  BatchField_segmentsOffset,
  HEADROOM,
  segmentBytes,
  SegmentField_header,
  SegmentField_headerLength,
  SegmentField_packet,
  SegmentField_payload,
  SegmentField_payloadLength,
  Verdict_badLength,
} from "./layout";

// include/uapi/linux/virtio_net.h
const NEEDS_CSUM: u32 = 1;
const GSO_TCPV4: u32 = 1;
const GSO_TCPV6: u32 = 4;
const GSO_UDP_L4: u32 = 5;
const GSO_ECN: u32 = 0x80;

const FIN_PSH: u32 = 0x09;
const CWR: u32 = 0x80;

/** Length of the headers of a super-packet, 0 when it is malformed. `v` is its virtio header. */
export function superHeaderLength(ip: usize, length: usize, v: usize): usize {
  const type = <u32>load<u8>(v, 1) & ~GSO_ECN;
  const version = <u32>load<u8>(ip) >> 4;
  const l4 = <usize>load<u16>(v, 6);
  if (load<u16>(v, 4) == 0 || (<u32>load<u8>(v) & NEEDS_CSUM) == 0) return 0;
  if (l4 < (version == 4 ? 20 : 40) || l4 + 8 > length) return 0;
  if (type == GSO_TCPV4 || type == GSO_TCPV6) {
    if ((type == GSO_TCPV4) != (version == 4) || load<u16>(v, 8) != 16 || l4 + 20 > length) return 0;
    const header = (<usize>load<u8>(ip + l4, 12) >> 4) << 2;
    return header < 20 || l4 + header >= length || l4 + header > arenaBytes - HEADROOM - 16 ? 0 : l4 + header;
  }
  if (type != GSO_UDP_L4 || load<u16>(v, 8) != 6) return 0;
  return l4 + 8 >= length || l4 + 8 > arenaBytes - HEADROOM - 16 ? 0 : l4 + 8;
}

/** Cuts packets from `from` on until all are cut or the segments are full; gives where to go on. */
export function segmentPackets(batch: usize, from: usize): usize {
  const total = count(batch);
  const first = field(batch, BatchField_segmentsOffset);
  const capacity = field(batch, BatchField_segmentCapacity);
  let used: usize = 0;
  let i = from;
  for (; i < total; i++) {
    if (load<u32>(verdicts(batch) + 4 * i) != 0) continue;
    const at = <usize>load<u32>(offsets(batch) + 4 * i);
    const length = <usize>load<u32>(lengths(batch) + 4 * i);
    const v = <usize>load<u32>(virtio(batch) + 4 * i);
    if (v != 0 && (load<u8>(v, 1) & 0x7f) != 0) {
      const header = superHeaderLength(at, length, v);
      const size = <usize>load<u16>(v, 4);
      const pieces: usize = header == 0 ? 0 : (length - header + size - 1) / size;
      if (pieces == 0 || pieces > capacity) {
        store<u32>(verdicts(batch) + 4 * i, Verdict_badLength);
        continue;
      }
      if (used + pieces > capacity) break;
      cut(at, length, v, header, size, field(batch, BatchField_arenaOffset) + used * arenaBytes, first + used * segmentBytes, <u32>i);
      used += pieces;
      store<u32>(parts(batch) + 4 * i, <u32>pieces);
      store<u32>(wireBytes(batch) + 4 * i, <u32>(length + (pieces - 1) * header));
      continue;
    }
    if (used == capacity) break;
    if (v != 0 && (load<u8>(v) & <u8>NEEDS_CSUM) != 0 && !finishChecksum(at, length, v)) {
      store<u32>(verdicts(batch) + 4 * i, Verdict_badLength);
      continue;
    }
    put(first + used * segmentBytes, at, length, 0, 0, <u32>i);
    used++;
    store<u32>(parts(batch) + 4 * i, 1);
    store<u32>(wireBytes(batch) + 4 * i, <u32>length);
  }
  store<u32>(batch + BatchField_segmentCount, <u32>used);
  return i;
}

// @ts-ignore: decorator
@inline
function put(segment: usize, header: usize, headerLength: usize, payload: usize, payloadLength: usize, packet: u32): void {
  store<u32>(segment + SegmentField_header, <u32>header);
  store<u32>(segment + SegmentField_headerLength, <u32>headerLength);
  store<u32>(segment + SegmentField_payload, <u32>payload);
  store<u32>(segment + SegmentField_payloadLength, <u32>payloadLength);
  store<u32>(segment + SegmentField_packet, packet);
}

// The field holds the sum of the pseudo header: the checksum over it and everything after is what belongs there.
function finishChecksum(at: usize, length: usize, v: usize): bool {
  const start = <usize>load<u16>(v, 6);
  const place = start + <usize>load<u16>(v, 8);
  if (start >= length || place + 2 > length) return false;
  let value = ~fold(sum(at + start, length - start, 0)) & 0xffff;
  // A UDP checksum of 0 would say that there is none (RFC 768); for TCP both mean the same.
  if (value == 0 && load<u16>(v, 8) == 6) value = 0xffff;
  store<u16>(at + place, <u16>value);
  return true;
}

function cut(at: usize, length: usize, v: usize, header: usize, size: usize, arena: usize, segment: usize, packet: u32): void {
  const l4 = <usize>load<u16>(v, 6);
  const tcp = (<u32>load<u8>(v, 1) & ~GSO_ECN) != GSO_UDP_L4;
  const version = <u32>load<u8>(at) >> 4;
  const id = swap16(load<u16>(at, 4));
  const sequence = bswap<u32>(load<u32>(at + l4, 4));
  const flags = tcp ? <u32>load<u8>(at + l4, 13) : 0;

  // The sums of what is the same in every header; a template in the first place of the arena has the rest zeroed.
  const template = arena + HEADROOM;
  memory.copy(template, at, header);
  let ipSum: u64 = 0;
  if (version == 4) {
    store<u16>(template, 0, 2);
    store<u16>(template, 0, 4);
    store<u16>(template, 0, 10);
    ipSum = sum(template, l4, 0);
  }
  // What the kernel left in the field is the sum of the pseudo header. It knows the last destination of a routing header, and
  // we don't. Its length is that of the super-packet, which the complement takes out again.
  let l4Sum = <u64>load<u16>(at + l4 + (tcp ? 16 : 6)) + <u64>(0xffff ^ swap16(<u32>(length - l4)));
  if (tcp) {
    store<u32>(template + l4, 0, 4);
    store<u8>(template + l4, 0, 13);
    store<u16>(template + l4, 0, 16);
  } else {
    store<u16>(template + l4, 0, 4);
    store<u16>(template + l4, 0, 6);
  }
  l4Sum = sum(template + l4, header - l4, l4Sum);

  let payload = at + header;
  let left = length - header;
  let number: u32 = 0;
  let done: u32 = 0;
  let to = template;
  while (left > 0) {
    const piece = left < size ? left : size;
    left -= piece;
    const l4Length = <u32>(header - l4 + piece);
    // 16 bytes at a time; what is too much falls into room of the arena that nobody reads.
    for (let b: usize = 0; b < header; b += 16) v128.store(to + b, v128.load(at + b));
    if (version == 4) {
      const totalLength = swap16(<u32>(header + piece));
      const identification = swap16((id + number) & 0xffff);
      store<u16>(to, <u16>totalLength, 2);
      store<u16>(to, <u16>identification, 4);
      store<u16>(to, <u16>~fold(ipSum + <u64>totalLength + <u64>identification), 10);
    } else {
      store<u16>(to, <u16>swap16(<u32>(header + piece - 40)), 4);
    }
    let total = sum(payload, piece, l4Sum + <u64>swap16(l4Length));
    if (tcp) {
      let ownFlags = flags;
      if (left > 0) ownFlags &= ~FIN_PSH;
      if (number > 0) ownFlags &= ~CWR;
      const own = bswap<u32>(sequence + done);
      store<u32>(to + l4, own, 4);
      store<u8>(to + l4, <u8>ownFlags, 13);
      total += <u64>own + (<u64>ownFlags << 8);
      store<u16>(to + l4, <u16>~fold(total), 16);
    } else {
      const own = swap16(l4Length);
      store<u16>(to + l4, <u16>own, 4);
      total += <u64>own;
      const value = <u16>~fold(total);
      store<u16>(to + l4, value == 0 ? 0xffff : value, 6);
    }
    put(segment, to, header, payload, piece, packet);
    payload += piece;
    done += <u32>piece;
    number++;
    to += arenaBytes;
    segment += segmentBytes;
  }
}
