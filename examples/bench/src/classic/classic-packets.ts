// What the classic relay asks of each packet. Frozen: the data path of the first release, so that later ones have something to be compared with.

/** A host of the overlay, as the classic relay knows it. */
export interface ClassicPeer {
  /** First address of its subnet, as a number. */
  readonly network: number;
  /** Length of its subnet's prefix. */
  readonly prefixLength: number;
  /** Its outer IPv4 address, as a number. */
  readonly endpoint: number;
}

/** Finds the peer of an inner address: longest prefix first, one map per length. */
export type PeerLookup = (address: number) => ClassicPeer | undefined;

/** Makes the lookup for a list of peers that stays as it is. */
export function createPeerLookup(peers: readonly ClassicPeer[]): PeerLookup {
  const lengths = [...new Set(peers.map(({ prefixLength }) => prefixLength))].toSorted((a, b) => b - a);
  const tables = lengths.map((length) => {
    const mask = maskOf(length);
    const own = peers.filter(({ prefixLength }) => prefixLength === length);
    return { mask, byNetwork: new Map(own.map((peer) => [peer.network & mask, peer])) };
  });
  return (address) => {
    for (const { mask, byNetwork } of tables) {
      const peer = byNetwork.get(address & mask);
      if (peer !== undefined) return peer;
    }
    return undefined;
  };
}

/** Whether the bytes are exactly one IPv4 packet. */
export function isPacket(view: DataView, length: number): boolean {
  if (length < 20) return false;
  const first = view.getUint8(0);
  const headerLength = (first & 15) << 2;
  if (first >>> 4 !== 4 || headerLength < 20 || headerLength > length) return false;
  return view.getUint16(2) === length;
}

/** Whether an inner address lies in a subnet. */
export function isInside(address: number, network: number, prefixLength: number): boolean {
  return ((address ^ network) & maskOf(prefixLength)) === 0;
}

/** Takes one from the TTL and updates the checksum (RFC 1624); false, and nothing changed, when the packet has lived long enough. */
export function decrementTtl(view: DataView): boolean {
  const ttl = view.getUint8(8);
  if (ttl <= 1) return false;
  view.setUint8(8, ttl - 1);
  const sum = view.getUint16(10) + 0x0100;
  view.setUint16(10, sum >= 0xffff ? (sum + 1) & 0xffff : sum);
  return true;
}

function maskOf(length: number): number {
  return length === 0 ? 0 : -1 << (32 - length);
}
