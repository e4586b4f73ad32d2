// Lookup in the peer table while another thread changes it. Model: `PeerTable.find` and `PeerIndex.find` in `src`.
import {
  PeersField_endpoints0,
  PeersField_endpointsBits,
  PeersField_endpointsCurrent,
  PeersField_lengths6,
  PeersField_lengthsHigh,
  PeersField_lengthsLow,
  PeersField_recordBytes,
  PeersField_recordsOffset,
  PeersField_subnets0,
  PeersField_subnetsBits,
  PeersField_subnetsCurrent,
  RecordField_network6,
} from "./layout";

const VALUE_BITS: u32 = 24;
const RECORD_MASK: u32 = 0xffffff;
const IPV6_TAG: u32 = 34;
const FOLDER: u32 = 0x9e37_79b1;

// @ts-ignore: decorator
@inline
export function recordOf(table: usize, record: i32): usize {
  return <usize>load<u32>(table + PeersField_recordsOffset) + <usize>record * <usize>load<u32>(table + PeersField_recordBytes);
}

/** Number of the record of the longest prefix that holds an address, or -1. */
export function findPeer(table: usize, address: u32): i32 {
  return findIn(subnets(table), subnetBits(table), lengthsOf(table), address);
}

/** Where the index of subnets lies now. A batch looks once: what the main thread changes meanwhile counts from the next one on. */
// @ts-ignore: decorator
@inline
export function subnets(table: usize): usize {
  const current = <usize>atomic.load<u32>(table + PeersField_subnetsCurrent);
  return <usize>load<u32>(table + PeersField_subnets0 + 4 * current);
}

// @ts-ignore: decorator
@inline
export function subnetBits(table: usize): u32 {
  return load<u32>(table + PeersField_subnetsBits);
}

/** The lengths of IPv4 prefixes in use, a bit for each. */
// @ts-ignore: decorator
@inline
export function lengthsOf(table: usize): u64 {
  return (<u64>atomic.load<u32>(table + PeersField_lengthsHigh) << 32) | <u64>atomic.load<u32>(table + PeersField_lengthsLow);
}

/** As `findPeer`, with what it looks up in the table's header. */
// @ts-ignore: decorator
@inline
export function findIn(index: usize, bits: u32, lengths: u64, address: u32): i32 {
  let record: i32 = -1;
  while (lengths != 0) {
    const length = 63 - <u32>clz<u64>(lengths);
    const mask = <u32>(<u64>0xffffffff << (32 - length));
    record = find(index, bits, address & mask, length + 1);
    if (record >= 0) break;
    lengths &= ~(<u64>1 << length);
  }
  return record;
}

/**
 * Reads the index entries at which `findIn` begins for each of a column of packets, so that they are in the cache then: those of a large table come from far away,
 * but many at once, as long as nothing is decided by what they say. Gives a sum to store somewhere: a compiler would leave out what nobody uses.
 */
export function readAhead(offset: usize, end: usize, index: usize, bits: u32, lengths: u64): u32 {
  const longest = lengths == 0 ? 0 : 63 - <u32>clz<u64>(lengths);
  const salt = saltOf(longest + 1);
  let sum: u32 = 0;
  for (; offset < end; offset += 4) {
    const destination = bswap<u32>(load<u32>(<usize>load<u32>(offset), 16));
    sum += load<u32>(index + 8 * <usize>slotOf(<u32>(<u64>destination >> (32 - longest)), salt, bits));
  }
  return sum;
}

/** As `findPeer`, for the IPv6 address that lies at `at`. */
export function findPeerIpv6(table: usize, at: usize): i32 {
  const high = bswap<u64>(load<u64>(at));
  const low = bswap<u64>(load<u64>(at, 8));
  for (let word: i32 = 4; word >= 0; word--) {
    let lengths = atomic.load<u32>(table + PeersField_lengths6 + 4 * <usize>word);
    while (lengths != 0) {
      const bit = 31 - clz<u32>(lengths);
      const record = findSubnetIpv6(table, high, low, 32 * <u32>word + bit);
      if (record >= 0) return record;
      lengths &= ~(1 << bit);
    }
  }
  return -1;
}

function findSubnetIpv6(table: usize, high: u64, low: u64, length: u32): i32 {
  const ownHigh = high & maskHigh(length);
  const ownLow = low & maskLow(length);
  const key = foldIpv6(ownHigh, ownLow);
  const bits = subnetBits(table);
  const index = subnets(table);
  const tag = length + IPV6_TAG;
  const mask: u32 = (1 << bits) - 1;
  let slot = firstSlot(key, tag, bits);
  while (true) {
    const entry = index + 8 * <usize>slot;
    const value = atomic.load<u32>(entry, 4);
    if (value == 0) return -1;
    if (value >> VALUE_BITS == tag && load<u32>(entry) == key) {
      const record = <i32>(value & RECORD_MASK) - 1;
      if (record >= 0) {
        const network = recordOf(table, record) + RecordField_network6;
        if (bswap<u64>(load<u64>(network)) == ownHigh && bswap<u64>(load<u64>(network, 8)) == ownLow) return record;
      }
    }
    slot = (slot + 1) & mask;
  }
}

/** The first and the last 64 bits of the mask of a prefix of `length` bits. */
// @ts-ignore: decorator
@inline
export function maskHigh(length: u32): u64 {
  return length >= 64 ? ~(<u64>0) : length == 0 ? 0 : ~(<u64>0) << (64 - length);
}
// @ts-ignore: decorator
@inline
export function maskLow(length: u32): u64 {
  return length >= 128 ? ~(<u64>0) : length <= 64 ? 0 : ~(<u64>0) << (128 - length);
}

function foldIpv6(high: u64, low: u64): u32 {
  let fold = <u32>(high >> 32);
  fold = fold * FOLDER + <u32>high;
  fold = fold * FOLDER + <u32>(low >> 32);
  fold = fold * FOLDER + <u32>low;
  return fold ^ (fold >> 15);
}

/** Whether the address of a `struct sockaddr_in` is the endpoint of some peer. */
export function hasEndpoint(table: usize, address: u32): bool {
  return findEndpoint(table, address, 33) >= 0;
}

/** Whether the IPv6 address that lies at `at` has the hash of some peer's endpoint. */
export function hasEndpointIpv6(table: usize, at: usize): bool {
  const key = foldIpv6(bswap<u64>(load<u64>(at)), bswap<u64>(load<u64>(at, 8)));
  return findEndpoint(table, key, IPV6_TAG + 128) >= 0;
}

function findEndpoint(table: usize, key: u32, tag: u32): i32 {
  const bits = load<u32>(table + PeersField_endpointsBits);
  const current = <usize>atomic.load<u32>(table + PeersField_endpointsCurrent);
  return find(<usize>load<u32>(table + PeersField_endpoints0 + 4 * current), bits, key, tag);
}

// @ts-ignore: decorator
@inline
function find(index: usize, bits: u32, key: u32, tag: u32): i32 {
  const mask: u32 = (1 << bits) - 1;
  let slot = firstSlot(key, tag, bits);
  while (true) {
    const entry = index + 8 * <usize>slot;
    const value = atomic.load<u32>(entry, 4);
    if (value == 0) return -1;
    if (value >> VALUE_BITS == tag && load<u32>(entry) == key) return <i32>(value & RECORD_MASK) - 1;
    slot = (slot + 1) & mask;
  }
}

// @ts-ignore: decorator
@inline
function firstSlot(key: u32, tag: u32, bits: u32): u32 {
  const own: u32 = tag >= IPV6_TAG ? key : tag == 1 ? 0 : key >> (33 - tag);
  return slotOf(own, saltOf(tag), bits);
}
// @ts-ignore: decorator
@inline
function saltOf(tag: u32): u32 {
  return (tag - 1) * 0x85eb_ca6b;
}
// @ts-ignore: decorator
@inline
function slotOf(own: u32, salt: u32, bits: u32): u32 {
  return ((own + salt) * 0x9e37_79b1) >> (32 - bits);
}
