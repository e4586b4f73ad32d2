// The slow, obvious peer table that tests compare the fast one with.
import { isDeepStrictEqual } from "node:util";
import type { PacketAddress } from "./packet-address.ts";
import type { Peer } from "./peer-table.ts";
import { prefixMask } from "./prefix-mask.ts";

/** A list of peers, looked through from end to end. */
export class PeerTableModel {
  readonly #capacity: number;
  #peers: Peer[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#peers.length;
  }

  list(): Peer[] {
    return this.#peers;
  }

  addresses(): PacketAddress[] {
    return this.#peers.flatMap(({ network, endpointAddress }) => [network, endpointAddress]);
  }

  isFullFor(one: Peer): boolean {
    return this.size >= this.#capacity && this.#at(one) === undefined;
  }

  isTooMany(peers: Peer[]): boolean {
    const after = new PeerTableModel(Infinity);
    after.replaceAll(peers);
    return after.size > this.#capacity;
  }

  set(one: Peer): "added" | "changed" | "unchanged" | "full" {
    if (this.isFullFor(one)) return "full";
    const masked = { ...one, network: mask(one.network, one.prefixLength) };
    const old = this.#at(one);
    if (isDeepStrictEqual(old, masked)) return "unchanged";
    this.#peers = [...this.#peers.filter((entry) => entry !== old), masked];
    return old === undefined ? "added" : "changed";
  }

  delete(one: Peer): boolean {
    const old = this.#at(one);
    this.#peers = this.#peers.filter((entry) => entry !== old);
    return old !== undefined;
  }

  replaceAll(peers: Peer[]): { added: number; changed: number; removed: number } {
    const wanted = new PeerTableModel(Infinity);
    for (const one of peers) wanted.set(one);
    const changes = { added: 0, changed: 0, removed: 0, unchanged: 0, full: 0 };
    for (const one of this.#peers) if (wanted.#at(one) === undefined && this.delete(one)) changes.removed++;
    for (const one of wanted.list()) changes[this.set(one)]++;
    const { added, changed, removed } = changes;
    return { added, changed, removed };
  }

  find(one: PacketAddress): Peer | undefined {
    return this.#peers
      .filter(({ network }) => typeof network === typeof one)
      .filter(({ network, prefixLength }) => mask(one, prefixLength) === network)
      .toSorted((a, b) => b.prefixLength - a.prefixLength)[0];
  }

  hasEndpoint(one: PacketAddress): boolean {
    return this.#peers.some(({ endpointAddress }) => endpointAddress === one);
  }

  #at({ network, prefixLength }: Peer): Peer | undefined {
    const masked = mask(network, prefixLength);
    return this.#peers.find((entry) => entry.network === masked && entry.prefixLength === prefixLength);
  }
}

function mask(one: PacketAddress, length: number): PacketAddress {
  if (typeof one === "number") return (one & prefixMask(length)) >>> 0;
  return one - (one % 2n ** BigInt(128 - length));
}
