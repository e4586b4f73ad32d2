import type { Address } from "./address.ts";
import { addressBits } from "./family.ts";
import { Prefix } from "./prefix.ts";

/**
 * A set of prefixes of one or both families, indexed by a path-compressed binary trie per family: every lookup takes at
 * most as many steps as an address has bits, and memory follows the number of members.
 *
 * Iteration is in the order of {@linkcode Prefix.compare}; changing the set meanwhile is not supported.
 *
 * @example The longest match
 * ```ts
 * import { parseAddress, parsePrefix, PrefixSet } from "@loden/ip";
 * import assert from "node:assert/strict";
 *
 * const set = new PrefixSet([parsePrefix("10.5.0.0/16"), parsePrefix("10.5.34.0/24")]);
 * assert.equal(`${set.longestMatch(parseAddress("10.5.34.7"))}`, "10.5.34.0/24");
 * assert.equal(`${set.longestMatch(parseAddress("10.5.35.7"))}`, "10.5.0.0/16");
 * ```
 */
export class PrefixSet implements Iterable<Prefix> {
  readonly #roots: { 4: Node | undefined; 6: Node | undefined } = { 4: undefined, 6: undefined };
  #size = 0;

  /**
   * @param prefixes - The first members; duplicates count once.
   */
  constructor(prefixes: Iterable<Prefix> = []) {
    for (const prefix of prefixes) this.add(prefix);
  }

  /** How many prefixes are members. */
  get size(): number {
    return this.#size;
  }

  /**
   * Adds a prefix. Adding a member again changes nothing.
   *
   * @param prefix - The prefix to add.
   * @returns Whether it was new.
   */
  add(prefix: Prefix): boolean {
    const { root, added } = insert(this.#roots[prefix.family], prefix);
    this.#roots[prefix.family] = root;
    if (added) this.#size += 1;
    return added;
  }

  /**
   * Removes exactly this prefix; wider and narrower members stay. Removing what is no member changes nothing.
   *
   * @param prefix - The prefix to remove.
   * @returns Whether it was a member.
   */
  delete(prefix: Prefix): boolean {
    const path: Node[] = [];
    let node = this.#roots[prefix.family];
    while (node !== undefined && node.prefix.length < prefix.length) {
      path.push(node);
      node = node[sideOf(prefix.address, node.prefix.length)];
    }
    if (node === undefined || !node.member || !node.prefix.equals(prefix)) return false;
    node.member = false;
    this.#size -= 1;
    this.#shrink(node, path);
    return true;
  }

  /**
   * Whether exactly this prefix is a member.
   *
   * @param prefix - The prefix to look for.
   * @returns Whether it is a member.
   */
  has(prefix: Prefix): boolean {
    const node = descend(this.#roots[prefix.family], prefix);
    return node !== undefined && node.member && node.prefix.equals(prefix);
  }

  /**
   * Whether any member shares an address with a prefix: contains it, lies inside it or equals it.
   *
   * @param prefix - The prefix to look for.
   * @returns Whether a member overlaps it.
   */
  overlaps(prefix: Prefix): boolean {
    let node = this.#roots[prefix.family];
    while (node !== undefined && node.prefix.length < prefix.length && node.prefix.contains(prefix)) {
      if (node.member) return true;
      node = node[sideOf(prefix.address, node.prefix.length)];
    }
    // Every node has a member at or below it, so a node inside the prefix is proof enough.
    return node !== undefined && prefix.contains(node.prefix);
  }

  /**
   * The narrowest member that contains an address.
   *
   * @param address - The address to look for.
   * @returns The member, or `undefined` when none contains the address.
   */
  longestMatch(address: Address): Prefix | undefined {
    let best: Prefix | undefined;
    let node = this.#roots[address.family];
    while (node !== undefined && node.prefix.contains(address)) {
      if (node.member) best = node.prefix;
      if (node.prefix.length === addressBits(address.family)) break;
      node = node[sideOf(address, node.prefix.length)];
    }
    return best;
  }

  /** Removes every member. */
  clear(): void {
    this.#roots[4] = undefined;
    this.#roots[6] = undefined;
    this.#size = 0;
  }

  /**
   * The members in the order of {@linkcode Prefix.compare}.
   *
   * @returns A new iterator.
   */
  *[Symbol.iterator](): IterableIterator<Prefix> {
    yield* walk(this.#roots[4]);
    yield* walk(this.#roots[6]);
  }

  /** Takes out `node`, which is no member any more, and its parent where these no longer divide anything. */
  #shrink(node: Node, path: readonly Node[]): void {
    if (node.left !== undefined && node.right !== undefined) return;
    const parent = path.at(-1);
    this.#replace(node, node.left ?? node.right, parent);
    if (parent === undefined || parent.member || (parent.left !== undefined && parent.right !== undefined))
      return;
    this.#replace(parent, parent.left ?? parent.right, path.at(-2));
  }

  #replace(node: Node, replacement: Node | undefined, parent: Node | undefined): void {
    if (parent === undefined) this.#roots[node.prefix.family] = replacement;
    else if (parent.left === node) parent.left = replacement;
    else parent.right = replacement;
  }
}

/** A member, or a fork of two subtrees at the first bit in which they differ. */
interface Node {
  readonly prefix: Prefix;
  member: boolean;
  left: Node | undefined;
  right: Node | undefined;
}

function insert(root: Node | undefined, prefix: Prefix): { root: Node; added: boolean } {
  let parent: Node | undefined;
  let node = root;
  while (node !== undefined && node.prefix.length < prefix.length && node.prefix.contains(prefix)) {
    parent = node;
    node = node[sideOf(prefix.address, node.prefix.length)];
  }
  if (node?.prefix.equals(prefix) === true) {
    const added = !node.member;
    node.member = true;
    return { root: root ?? node, added };
  }
  const grown = node === undefined ? createNode(prefix, true) : fork(node, prefix);
  if (parent === undefined) return { root: grown, added: true };
  parent[sideOf(prefix.address, parent.prefix.length)] = grown;
  return { root: root ?? parent, added: true };
}

/** A node that holds both `node`, as it is, and the new member `prefix`. */
function fork(node: Node, prefix: Prefix): Node {
  const member = createNode(prefix, true);
  if (prefix.contains(node.prefix)) {
    member[sideOf(node.prefix.address, prefix.length)] = node;
    return member;
  }
  const common = createNode(new Prefix(prefix.address, sharedLength(prefix, node.prefix)), false);
  common[sideOf(prefix.address, common.prefix.length)] = member;
  common[sideOf(node.prefix.address, common.prefix.length)] = node;
  return common;
}

function createNode(prefix: Prefix, member: boolean): Node {
  return { prefix, member, left: undefined, right: undefined };
}

/** The node that `prefix` would be at, if it were there. */
function descend(root: Node | undefined, prefix: Prefix): Node | undefined {
  let node = root;
  while (node !== undefined && node.prefix.length < prefix.length) {
    node = node[sideOf(prefix.address, node.prefix.length)];
  }
  return node;
}

/** The side on which an address lies below a node of this length: the value of the bit after the prefix. */
function sideOf(address: Address, length: number): "left" | "right" {
  const bit = BigInt(addressBits(address.family) - 1 - length);
  return ((address.value >> bit) & 1n) === 0n ? "left" : "right";
}

/** How many leading bits two prefixes of a family share. */
function sharedLength(a: Prefix, b: Prefix): number {
  const difference = a.address.value ^ b.address.value;
  const same = difference === 0n ? Infinity : addressBits(a.family) - difference.toString(2).length;
  return Math.min(same, a.length, b.length);
}

function* walk(node: Node | undefined): Generator<Prefix, undefined> {
  if (node === undefined) return;
  if (node.member) yield node.prefix;
  yield* walk(node.left);
  yield* walk(node.right);
}
