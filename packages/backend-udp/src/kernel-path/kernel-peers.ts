import type { BpfMap } from "@loden/bpf";
import type { PeerRecord } from "../peer-records.ts";
import { PeerFlag, PeerKey, PeerValue } from "./packet-layout.ts";

const RECORDS_BETWEEN_PAUSES = 32;

/** The peers that the kernel knows: whose packets it takes, and to whom it sends by itself. */
export interface KernelPeers {
  /**
   * Makes these the peers, as far as the kernel can serve them. What changed is looked at; all of it, when the ways there may have changed.
   *
   * @returns the endpoints whose ways are not known yet; what goes there is left to the pump until they are.
   */
  apply(records: readonly PeerRecord[], ways: Ways): readonly number[];
  /** Leaves all peers to the pump. */
  clear(): void;
}

/** What is known of the ways to endpoints. */
export interface Ways {
  /** Longest inner packet in bytes. */
  readonly mtu: number;
  /** Whether the kernel path may send to an endpoint; undefined when nobody has looked yet. */
  isPlain(endpoint: number): boolean | undefined;
  /** Whether more than the records may have changed since the last time. */
  readonly changed: boolean;
}

/**
 * Makes the list of peers of the kernel path.
 *
 * It has those whose subnet is as long as the network says: a program finds them by the upper bits of the destination. The others, and IPv6, are the pump's;
 * no two subnets overlap, so neither hides another.
 *
 * @param map the map of peers, empty. @param prefixLength of the network's subnets. @param pause is called every some 10 microseconds, when a pump that waits for this
 * processor may go first.
 * @returns the list, empty.
 */
export function createKernelPeers(map: BpfMap, prefixLength: number, pause: () => void): KernelPeers {
  let last: readonly PeerRecord[] = [];
  /** What the map has, by subnet. */
  const present = new Map<number, Entry>();
  const key = new Uint8Array(PeerKey.bytes);

  function clear(): void {
    for (const network of present.keys()) map.delete(keyOf(network));
    present.clear();
    last = [];
  }

  function apply(records: readonly PeerRecord[], ways: Ways): readonly number[] {
    const all = ways.changed || records.length !== last.length;
    const touched = all ? new Set(present.keys()) : new Set<number>();
    const wanted = new Map<number, Entry>();
    const unknown: number[] = [];
    for (const [i, record] of records.entries()) {
      if ((i + 1) % RECORDS_BETWEEN_PAUSES === 0) pause();
      const before = last[i];
      if (!all && record === before) continue;
      if (before !== undefined && isServed(before)) touched.add(before.network);
      if (!isServed(record)) continue;
      const plain = ways.isPlain(record.endpointAddress);
      wanted.set(record.network, { record, sends: plain === true, mtu: ways.mtu });
      if (plain === undefined) unknown.push(record.endpointAddress);
    }
    last = [...records];
    for (const network of touched) if (!wanted.has(network)) remove(network);
    const written: [Uint8Array, Uint8Array][] = [];
    for (const [network, entry] of wanted) {
      if (isSame(present.get(network), entry)) continue;
      written.push([keyOf(network).slice(), valueOf(entry)]);
      present.set(network, entry);
    }
    if (written.length > 0) map.setMany(written);
    return unknown;
  }

  function remove(network: number): void {
    if (present.delete(network)) map.delete(keyOf(network));
  }

  function keyOf(network: number): Uint8Array {
    new DataView(key.buffer).setUint32(0, network, false);
    return key;
  }

  function isServed(record: PeerRecord): record is ServedRecord {
    const { network, endpointAddress } = record;
    return (
      typeof network === "number" &&
      typeof endpointAddress === "number" &&
      record.prefixLength === prefixLength
    );
  }

  return { apply, clear };
}

/** IPv4 inside and outside. */
interface ServedRecord extends PeerRecord {
  readonly network: number;
  readonly endpointAddress: number;
}

/** What a value of the map is made of. */
interface Entry {
  readonly record: ServedRecord;
  readonly sends: boolean;
  readonly mtu: number;
}

function isSame(a: Entry | undefined, b: Entry): boolean {
  return a?.record === b.record && a.sends === b.sends && a.mtu === b.mtu;
}

function valueOf({ record: { endpointAddress, takes }, sends, mtu }: Entry): Uint8Array {
  const view = new DataView(new ArrayBuffer(PeerValue.bytes));
  view.setUint32(PeerValue.endpoint, endpointAddress, false);
  view.setUint16(PeerValue.mtu, mtu, true);
  view.setUint16(
    PeerValue.flags,
    (takes === undefined ? 0 : PeerFlag[takes]) | (sends ? PeerFlag.send : 0),
    true,
  );
  return new Uint8Array(view.buffer);
}
