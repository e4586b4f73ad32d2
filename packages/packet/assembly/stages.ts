// The stages of a batch; each touches only packets whose verdict is pass. Models: the functions of the same names in `src`.
import { swap16 } from "./checksum";
import { count, endpoints, lengths, offsets, parts, peers, verdicts, virtio, wireBytes } from "./columns";
import {
  BatchField_touched,
  CounterField_bytes,
  CounterField_dropped,
  CounterField_packets,
  LocalField_network,
  LocalField_network6,
  LocalField_prefixLength,
  LocalField_prefixLength6,
  PeersField_recordBytes,
  RecordField_sockaddr,
  Verdict_badLength,
  Verdict_badVersion,
  Verdict_foreignDestination,
  Verdict_foreignSource,
  Verdict_noRoute,
  Verdict_tooBig,
  Verdict_tooShort,
  Verdict_ttlExpired,
  Verdict_unknownSender,
} from "./layout";
import {
  findIn,
  findPeer,
  findPeerIpv6,
  hasEndpoint,
  hasEndpointIpv6,
  lengthsOf,
  maskHigh,
  maskLow,
  readAhead,
  recordOf,
  subnetBits,
  subnets,
} from "./peers";
import { superHeaderLength } from "./segment";

/** So many packets: their headers and entries fit in the first cache. */
const READ_AHEAD: usize = 64;
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;

export function checkPackets(batch: usize): void {
  const total = count(batch);
  for (let i: usize = 0; i < total; i++) {
    const verdict = verdicts(batch) + 4 * i;
    if (load<u32>(verdict) != 0) continue;
    store<u32>(verdict, checkPacket(<usize>load<u32>(offsets(batch) + 4 * i), load<u32>(lengths(batch) + 4 * i)));
  }
}

// @ts-ignore: decorator
@inline
function checkPacket(at: usize, length: u32): u32 {
  if (length < 20) return Verdict_tooShort;
  const first = <u32>load<u8>(at);
  if (first == 0x45) return swap16(load<u16>(at, 2)) == length ? 0 : Verdict_badLength;
  const version = first >> 4;
  if (version == 6) {
    if (length < 40) return Verdict_tooShort;
    return swap16(load<u16>(at, 4)) + 40 == length ? 0 : Verdict_badLength;
  }
  if (version != 4) return Verdict_badVersion;
  const header = (first & 15) << 2;
  if (header < 20 || header > length) return Verdict_badLength;
  return swap16(load<u16>(at, 2)) == length ? 0 : Verdict_badLength;
}

export function routeToPeers(batch: usize, table: usize): void {
  const end = count(batch) * 4;
  const index = subnets(table);
  const bits = subnetBits(table);
  const lengths = lengthsOf(table);
  const sockaddrs = recordOf(table, 0) + RecordField_sockaddr;
  const recordBytes = <usize>load<u32>(table + PeersField_recordBytes);
  // Looked up once: this is the stage that large tables are felt in.
  const offsetsAt = offsets(batch);
  const verdictsAt = verdicts(batch);
  const peersAt = peers(batch);
  const endpointsAt = endpoints(batch);
  let last: usize = 0;
  let record: i32 = -1;
  let ahead: usize = 0;
  let touched: u32 = 0;
  for (let i: usize = 0; i < end; i += 4) {
    if (i == ahead) {
      ahead = min(end, i + READ_AHEAD * 4);
      touched += readAhead(offsetsAt + i, offsetsAt + ahead, index, bits, lengths);
    }
    if (load<u32>(verdictsAt + i) != 0) continue;
    const at = <usize>load<u32>(offsetsAt + i);
    if (isIpv4(at)) {
      if (last == 0 || !isIpv4(last) || load<u32>(at, 16) != load<u32>(last, 16))
        record = findIn(index, bits, lengths, bswap<u32>(load<u32>(at, 16)));
    } else if (last == 0 || isIpv4(last) || !sameIpv6(at + 24, last + 24)) {
      record = findPeerIpv6(table, at + 24);
    }
    last = at;
    store<i32>(peersAt + i, record);
    store<u32>(endpointsAt + i, record < 0 ? 0 : <u32>(sockaddrs + <usize>record * recordBytes));
    if (record < 0) store<u32>(verdictsAt + i, Verdict_noRoute);
  }
  store<u32>(batch + BatchField_touched, touched);
}

/** Of a super-packet, what counts is how long its packets will be. */
export function checkSizes(batch: usize, maximum: u32): void {
  const total = count(batch);
  for (let i: usize = 0; i < total; i++) {
    const verdict = verdicts(batch) + 4 * i;
    if (load<u32>(verdict) != 0) continue;
    let length = load<u32>(lengths(batch) + 4 * i);
    if (length <= maximum) continue;
    const v = <usize>load<u32>(virtio(batch) + 4 * i);
    if (v != 0 && (load<u8>(v, 1) & 0x7f) != 0) {
      const header = superHeaderLength(<usize>load<u32>(offsets(batch) + 4 * i), <usize>length, v);
      if (header == 0) {
        store<u32>(verdict, Verdict_badLength);
        continue;
      }
      length = <u32>header + <u32>load<u16>(v, 4);
      if (length <= maximum) continue;
    }
    store<u32>(verdict, Verdict_tooBig);
  }
}

export function decrementTtl(batch: usize): void {
  const total = count(batch);
  for (let i: usize = 0; i < total; i++) {
    const verdict = verdicts(batch) + 4 * i;
    if (load<u32>(verdict) != 0) continue;
    const at = <usize>load<u32>(offsets(batch) + 4 * i);
    const place = isIpv4(at) ? at + 8 : at + 7;
    const ttl = <u32>load<u8>(place);
    if (ttl <= 1) {
      store<u32>(verdict, Verdict_ttlExpired);
      continue;
    }
    store<u8>(place, <u8>(ttl - 1));
    if (!isIpv4(at)) continue;
    // RFC 1624: plus 0x0100 in ones' complement.
    const raised = swap16(load<u16>(at, 10)) + 0x0100;
    store<u16>(at, <u16>swap16(raised >= 0xffff ? (raised + 1) & 0xffff : raised), 10);
  }
}

// @ts-ignore: decorator
@inline
function isIpv4(at: usize): bool {
  return load<u8>(at) >> 4 == 4;
}
// @ts-ignore: decorator
@inline
function sameIpv6(a: usize, b: usize): bool {
  return load<u64>(a) == load<u64>(b) && load<u64>(a, 8) == load<u64>(b, 8);
}

export function checkSenders(batch: usize, table: usize, strict: bool): void {
  const total = count(batch);
  let last: usize = 0;
  let record: i32 = -1;
  for (let i: usize = 0; i < total; i++) {
    const verdict = verdicts(batch) + 4 * i;
    if (load<u32>(verdict) != 0) continue;
    const at = <usize>load<u32>(offsets(batch) + 4 * i);
    if (isIpv4(at)) {
      if (last == 0 || !isIpv4(last) || load<u32>(at, 12) != load<u32>(last, 12)) record = findPeer(table, bswap<u32>(load<u32>(at, 12)));
    } else if (last == 0 || isIpv4(last) || !sameIpv6(at + 8, last + 8)) {
      record = findPeerIpv6(table, at + 8);
    }
    last = at;
    const name = <usize>load<u32>(endpoints(batch) + 4 * i);
    if (record >= 0 && (!strict || sameSender(name, recordOf(table, record) + RecordField_sockaddr))) {
      store<i32>(peers(batch) + 4 * i, record);
      store<u32>(endpoints(batch) + 4 * i, <u32>(recordOf(table, record) + RecordField_sockaddr));
      continue;
    }
    store<i32>(peers(batch) + 4 * i, -1);
    store<u32>(verdict, !strict || isEndpoint(table, name) ? Verdict_foreignSource : Verdict_unknownSender);
  }
}

/** Whether two socket addresses have one address, whatever their ports; `name` may be 0. */
// @ts-ignore: decorator
@inline
function sameSender(name: usize, sockaddr: usize): bool {
  if (name == 0 || load<u16>(name) != load<u16>(sockaddr)) return false;
  return <u32>load<u16>(name) == AF_INET ? load<u32>(name, 4) == load<u32>(sockaddr, 4) : sameIpv6(name + 8, sockaddr + 8);
}

function isEndpoint(table: usize, name: usize): bool {
  if (name == 0) return false;
  const family = <u32>load<u16>(name);
  if (family == AF_INET) return hasEndpoint(table, bswap<u32>(load<u32>(name, 4)));
  return family == AF_INET6 && hasEndpointIpv6(table, name + 8);
}

export function checkDestinations(batch: usize, local: usize): void {
  const total = count(batch);
  const length = atomic.load<u32>(local + LocalField_prefixLength);
  const mask: u32 = length == 0 ? 0 : <u32>0xffffffff << (32 - length);
  const network = atomic.load<u32>(local + LocalField_network) & mask;
  const length6 = atomic.load<u32>(local + LocalField_prefixLength6);
  const high = bswap<u64>(maskHigh(length6));
  const low = bswap<u64>(maskLow(length6));
  const networkHigh = load<u64>(local + LocalField_network6) & high;
  const networkLow = load<u64>(local + LocalField_network6, 8) & low;
  for (let i: usize = 0; i < total; i++) {
    const verdict = verdicts(batch) + 4 * i;
    if (load<u32>(verdict) != 0) continue;
    const at = <usize>load<u32>(offsets(batch) + 4 * i);
    const isOurs = isIpv4(at)
      ? length != 0 && (bswap<u32>(load<u32>(at, 16)) & mask) == network
      : length6 != 0 && (load<u64>(at, 24) & high) == networkHigh && (load<u64>(at, 32) & low) == networkLow;
    if (!isOurs) store<u32>(verdict, Verdict_foreignDestination);
  }
}

/** Adds to the cells of one direction; gives how many packets were dropped. */
export function countBatch(batch: usize, cells: usize): u32 {
  const total = count(batch);
  let dropped: u32 = 0;
  let packets: u64 = 0;
  let bytes: u64 = 0;
  for (let i: usize = 0; i < total; i++) {
    const verdict = load<u32>(verdicts(batch) + 4 * i);
    if (verdict != 0) {
      const cell = cells + CounterField_dropped + 8 * <usize>verdict;
      store<f64>(cell, load<f64>(cell) + 1);
      dropped++;
      continue;
    }
    const pieces = load<u32>(parts(batch) + 4 * i);
    packets += pieces == 0 ? 1 : <u64>pieces;
    bytes += <u64>load<u32>((pieces == 0 ? lengths(batch) : wireBytes(batch)) + 4 * i);
  }
  store<f64>(cells + CounterField_packets, load<f64>(cells + CounterField_packets) + <f64>packets);
  store<f64>(cells + CounterField_bytes, load<f64>(cells + CounterField_bytes) + <f64>bytes);
  return dropped;
}
