// Lookup in the peer table while another thread changes it. Model: `PeerTable.find` and `PeerIndex.find` in `src`.
import {
  PeersField_endpoints0,
  PeersField_endpointsBits,
  PeersField_endpointsCurrent,
  PeersField_lengthsHigh,
  PeersField_lengthsLow,
  PeersField_recordBytes,
  PeersField_recordsOffset,
  PeersField_subnets0,
  PeersField_subnetsBits,
  PeersField_subnetsCurrent,
} from "./layout";

const VALUE_BITS: u32 = 24;
const RECORD_MASK: u32 = 0xffffff;

// @ts-ignore: decorator
@inline
export function recordOf(table: usize, record: i32): usize {
  return <usize>load<u32>(table + PeersField_recordsOffset) + <usize>record * <usize>load<u32>(table + PeersField_recordBytes);
}

/** Number of the record of the longest prefix that holds an address, or -1. */
export function findPeer(table: usize, address: u32): i32 {
  if (atomic.load<u32>(table + PeersField_lengthsHigh) != 0) {
    const record = findSubnet(table, address, 32);
    if (record >= 0) return record;
  }
  let lengths = atomic.load<u32>(table + PeersField_lengthsLow);
  while (lengths != 0) {
    const length = 31 - clz<u32>(lengths);
    const record = findSubnet(table, length == 0 ? 0 : address & (<u32>0xffffffff << (32 - length)), length);
    if (record >= 0) return record;
    lengths &= ~(1 << length);
  }
  return -1;
}

/** Whether an outer address is the endpoint of some peer. */
export function hasEndpoint(table: usize, address: u32): bool {
  const bits = load<u32>(table + PeersField_endpointsBits);
  const current = <usize>atomic.load<u32>(table + PeersField_endpointsCurrent);
  return find(<usize>load<u32>(table + PeersField_endpoints0 + 4 * current), bits, address, 32) >= 0;
}

// @ts-ignore: decorator
@inline
function findSubnet(table: usize, network: u32, length: u32): i32 {
  const bits = load<u32>(table + PeersField_subnetsBits);
  const current = <usize>atomic.load<u32>(table + PeersField_subnetsCurrent);
  return find(<usize>load<u32>(table + PeersField_subnets0 + 4 * current), bits, network, length);
}

function find(index: usize, bits: u32, key: u32, length: u32): i32 {
  const own: u32 = length == 0 ? 0 : key >> (32 - length);
  const mask: u32 = (1 << bits) - 1;
  let slot = ((own + length * 0x85eb_ca6b) * 0x9e37_79b1) >> (32 - bits);
  while (true) {
    const entry = index + 8 * <usize>slot;
    const value = atomic.load<u32>(entry, 4);
    if (value == 0) return -1;
    if (value >> VALUE_BITS == length + 1 && load<u32>(entry) == key) return <i32>(value & RECORD_MASK) - 1;
    slot = (slot + 1) & mask;
  }
}
