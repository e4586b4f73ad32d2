// Joins consecutive packets of one flow into a frame that the kernel takes as one super-packet. Only what `cut` gives back byte for byte
// is joined: equal headers but for what counts up, right checksums, equal payload sizes but for the last.
import { fold, pseudoSum, sum, swap16 } from "./checksum";
import { count, field, lengths, offsets, verdicts } from "./columns";
import {
  BatchField_frameFirst,
  BatchField_frameHeaderOffset,
  BatchField_frameIovecsOffset,
  BatchField_frameNext,
  BatchField_framePackets,
  frameIovecs,
  memoryHeaderOffset,
  MemoryField_address,
  scratch_iovec,
  virtioBytes,
} from "./layout";

const TCP: u32 = 6;
const UDP: u32 = 17;
const ACK: u32 = 0x10;
const FIN_PSH: u32 = 0x09;
const CWR: u32 = 0x80;
// What a packet in a frame may have: ACK, with ECE, PSH, FIN, CWR.
const FLAGS: u32 = 0xd9;
const MOST_BYTES: usize = 65_535;
// Kernels refuse a UDP super-packet of more segments: 64 at first, 128 from 6.9 on (UDP_MAX_SEGMENTS).
const MOST_DATAGRAMS: usize = 64;

// include/uapi/linux/virtio_net.h
const NEEDS_CSUM: u32 = 1;
const GSO_TCPV4: u32 = 1;
const GSO_TCPV6: u32 = 4;
const GSO_UDP_L4: u32 = 5;
const GSO_ECN: u32 = 0x80;

/** What may be joined and how it is written; bits of `nextFrame`'s argument. */
const WITH_VIRTIO: u32 = 1;
const JOIN_TCP: u32 = 2;
const JOIN_UDP: u32 = 4;

/** Makes the iovecs of the next frame; gives how many, 0 when all packets were taken. */
export function nextFrame(batch: usize, how: u32): u32 {
  const total = count(batch);
  let i = field(batch, BatchField_frameNext);
  while (i < total && load<u32>(verdicts(batch) + 4 * i) != 0) i++;
  store<u32>(batch + BatchField_frameFirst, <u32>i);
  if (i == total) {
    store<u32>(batch + BatchField_frameNext, <u32>i);
    return 0;
  }
  const base = load<u64>(memoryHeaderOffset + MemoryField_address);
  const iovecs = field(batch, BatchField_frameIovecsOffset);
  // The virtio header ends where the IP header begins, on a multiple of 16.
  const ip = field(batch, BatchField_frameHeaderOffset) + 16;
  const v = ip - virtioBytes;
  const first = <usize>load<u32>(offsets(batch) + 4 * i);
  const firstLength = <usize>load<u32>(lengths(batch) + 4 * i);
  let joined: usize = 1;
  const header: usize = how == WITH_VIRTIO || how == 0 ? 0 : joinableHeader(first, firstLength, how);
  i++;
  if (header != 0) {
    const size = firstLength - header;
    const l4: usize = load<u8>(first) >> 4 == 4 ? 20 : 40;
    const tcp = isTcp(first);
    let bytes = firstLength;
    let previous = first;
    let iovec = iovecs + 2 * scratch_iovec;
    let verified = false;
    let open = !tcp || (<u32>load<u8>(first + l4, 13) & FIN_PSH) == 0;
    let next = i;
    const most = tcp ? frameIovecs - 2 : MOST_DATAGRAMS;
    while (open && joined < most) {
      while (next < total && load<u32>(verdicts(batch) + 4 * next) != 0) next++;
      if (next == total) break;
      const at = <usize>load<u32>(offsets(batch) + 4 * next);
      const length = <usize>load<u32>(lengths(batch) + 4 * next);
      if (length <= header || length > firstLength || bytes + length - header > MOST_BYTES) break;
      if (!follows(first, previous, at, length, l4, header, <u32>(size * joined), tcp)) break;
      if (!verified && !isRight(first, firstLength, l4, tcp)) break;
      verified = true;
      if (!isRight(at, length, l4, tcp)) break;
      store<u64>(iovec, base + <u64>(at + header));
      store<u64>(iovec, <u64>(length - header), 8);
      iovec += scratch_iovec;
      bytes += length - header;
      joined++;
      previous = at;
      next++;
      i = next;
      open = length == firstLength && (!tcp || (<u32>load<u8>(at + l4, 13) & FIN_PSH) == 0);
    }
    if (joined > 1) {
      makeHeader(ip, v, first, previous, l4, header, size, bytes, tcp);
      store<u64>(iovecs, base + <u64>v);
      store<u64>(iovecs, <u64>(virtioBytes + header), 8);
      store<u64>(iovecs, base + <u64>(first + header), 16);
      store<u64>(iovecs, <u64>size, 24);
    }
  }
  store<u32>(batch + BatchField_frameNext, <u32>i);
  store<u32>(batch + BatchField_framePackets, <u32>joined);
  if (joined > 1) return <u32>joined + 1;
  if (how == 0) {
    store<u64>(iovecs, base + <u64>first);
    store<u64>(iovecs, <u64>firstLength, 8);
    return 1;
  }
  store<u64>(v, 0);
  store<u16>(v, 0, 8);
  store<u64>(iovecs, base + <u64>v);
  store<u64>(iovecs, <u64>virtioBytes, 8);
  store<u64>(iovecs, base + <u64>first, 16);
  store<u64>(iovecs, <u64>firstLength, 24);
  return 2;
}

// @ts-ignore: decorator
@inline
function isTcp(ip: usize): bool {
  return (load<u8>(ip) >> 4 == 4 ? load<u8>(ip, 9) : load<u8>(ip, 6)) == <u8>TCP;
}

/** Length of the headers of a packet that can begin a frame, else 0. */
function joinableHeader(at: usize, length: usize, how: u32): usize {
  if (length < 28) return 0;
  const first = <u32>load<u8>(at);
  let l4: usize = 20;
  let protocol: u32 = 0;
  if (first == 0x45) {
    // Fragments are left alone; the bit that must be zero, too.
    if ((<u32>load<u16>(at, 6) & 0xffbf) != 0 || swap16(load<u16>(at, 2)) != <u32>length) return 0;
    protocol = load<u8>(at, 9);
  } else {
    if (first >> 4 != 6 || length < 48 || swap16(load<u16>(at, 4)) + 40 != <u32>length) return 0;
    l4 = 40;
    protocol = load<u8>(at, 6);
  }
  if (protocol == TCP && (how & JOIN_TCP) != 0) {
    if (length < l4 + 20) return 0;
    const flags = <u32>load<u8>(at + l4, 13);
    if ((flags & ACK) == 0 || (flags & ~FLAGS) != 0) return 0;
    const header = l4 + ((<usize>load<u8>(at + l4, 12) >> 4) << 2);
    return header < l4 + 20 || header >= length ? 0 : header;
  }
  if (protocol != UDP || (how & JOIN_UDP) == 0) return 0;
  if (length <= l4 + 8 || swap16(load<u16>(at + l4, 4)) != <u32>(length - l4) || load<u16>(at + l4, 6) == 0) return 0;
  return l4 + 8;
}

/** Whether a packet is what `cut` would make after `previous`; `done` bytes of payload come before it. */
function follows(first: usize, previous: usize, at: usize, length: usize, l4: usize, header: usize, done: u32, tcp: bool): bool {
  if (l4 == 20) {
    if (load<u16>(at) != load<u16>(first) || swap16(load<u16>(at, 2)) != <u32>length) return false;
    if (load<u32>(at, 6) != load<u32>(first, 6) || load<u64>(at, 12) != load<u64>(first, 12)) return false;
    if (swap16(load<u16>(at, 4)) != ((swap16(load<u16>(previous, 4)) + 1) & 0xffff)) return false;
  } else {
    if (load<u32>(at) != load<u32>(first) || swap16(load<u16>(at, 4)) + 40 != <u32>length) return false;
    if (load<u16>(at, 6) != load<u16>(first, 6)) return false;
    for (let b: usize = 8; b < 40; b += 8) if (load<u64>(at + b) != load<u64>(first + b)) return false;
  }
  const a = first + l4;
  const b = at + l4;
  if (load<u32>(b) != load<u32>(a)) return false;
  if (!tcp) return swap16(load<u16>(b, 4)) == <u32>(length - l4) && load<u16>(b, 6) != 0;
  if (load<u32>(b, 8) != load<u32>(a, 8) || load<u8>(b, 12) != load<u8>(a, 12)) return false;
  if (bswap<u32>(load<u32>(b, 4)) != bswap<u32>(load<u32>(a, 4)) + done) return false;
  if ((<u32>load<u8>(b, 13) & ~FIN_PSH) != (<u32>load<u8>(a, 13) & ~CWR)) return false;
  if (load<u16>(b, 14) != load<u16>(a, 14) || load<u16>(b, 18) != load<u16>(a, 18)) return false;
  for (let o: usize = 20; o < header - l4; o += 4) if (load<u32>(b + o) != load<u32>(a + o)) return false;
  return true;
}

/** Whether the checksums are exactly those that `cut` would write. */
function isRight(ip: usize, length: usize, l4: usize, tcp: bool): bool {
  if (l4 == 20 && (load<u16>(ip, 10) == 0xffff || fold(sum(ip, 20, 0)) != 0xffff)) return false;
  // Of the two zeros of ones' complement, TCP has 0 and UDP 0xffff.
  if (tcp && load<u16>(ip + l4, 16) == 0xffff) return false;
  const start = pseudoSum(ip, l4 == 20 ? 4 : 6, tcp ? TCP : UDP) + <u64>swap16(<u32>(length - l4));
  return fold(sum(ip + l4, length - l4, start)) == 0xffff;
}

function makeHeader(ip: usize, v: usize, first: usize, last: usize, l4: usize, header: usize, size: usize, bytes: usize, tcp: bool): void {
  memory.copy(ip, first, header);
  if (l4 == 20) {
    store<u16>(ip, <u16>swap16(<u32>bytes), 2);
    store<u16>(ip, 0, 10);
    store<u16>(ip, <u16>~fold(sum(ip, 20, 0)), 10);
  } else {
    store<u16>(ip, <u16>swap16(<u32>(bytes - 40)), 4);
  }
  const l4Length = swap16(<u32>(bytes - l4));
  // Left to the kernel: the field holds the sum of the pseudo header.
  const partial = <u16>fold(pseudoSum(ip, l4 == 20 ? 4 : 6, tcp ? TCP : UDP) + <u64>l4Length);
  let type = GSO_UDP_L4;
  if (tcp) {
    const flags = <u32>load<u8>(first + l4, 13);
    store<u8>(ip + l4, <u8>(flags | (<u32>load<u8>(last + l4, 13) & FIN_PSH)), 13);
    store<u16>(ip + l4, partial, 16);
    type = l4 == 20 ? GSO_TCPV4 : GSO_TCPV6;
    if ((flags & CWR) != 0) type |= GSO_ECN;
  } else {
    store<u16>(ip + l4, <u16>l4Length, 4);
    store<u16>(ip + l4, partial, 6);
  }
  store<u8>(v, <u8>NEEDS_CSUM);
  store<u8>(v, <u8>type, 1);
  store<u16>(v, <u16>header, 2);
  store<u16>(v, <u16>size, 4);
  store<u16>(v, <u16>l4, 6);
  store<u16>(v, tcp ? 16 : 6, 8);
}
