import type { Subnet } from "@loden/subnet";

/** The only part of a prefix that counts here. */
type Prefix = NonNullable<Subnet["ipv4"]>;

/**
 * Finds which of many subnets overlaps a given one. A look-up by length and base, so its cost does not grow with the
 * number of subnets; only subnets that are narrower than what is asked for are looked through, and a network with one
 * subnet length has none.
 */
export class OverlapIndex {
  /** Family and length -> base bits -> the keys stored there, because others may write the same subnet twice. */
  readonly #byLength = new Map<string, { length: number; family: number; keys: Map<bigint, Set<string>> }>();

  /**
   * @param key - What to find it by.
   * @param subnet - Where it lies.
   */
  add(key: string, subnet: Subnet): void {
    for (const prefix of prefixesOf(subnet)) {
      const { family, length } = prefix;
      const id = `${family}/${length}`;
      const level = this.#byLength.get(id) ?? { length, family, keys: new Map<bigint, Set<string>>() };
      this.#byLength.set(id, level);
      const base = baseBits(prefix, length);
      level.keys.set(base, (level.keys.get(base) ?? new Set()).add(key));
    }
  }

  /**
   * @param key - As added.
   * @param subnet - As added.
   */
  delete(key: string, subnet: Subnet): void {
    for (const prefix of prefixesOf(subnet)) {
      const id = `${prefix.family}/${prefix.length}`;
      const level = this.#byLength.get(id);
      const base = baseBits(prefix, prefix.length);
      const keys = level?.keys.get(base);
      keys?.delete(key);
      if (keys?.size === 0) level?.keys.delete(base);
      if (level?.keys.size === 0) this.#byLength.delete(id);
    }
  }

  /**
   * @param subnet - What to look for.
   * @returns The key of one subnet that overlaps it in any family, if there is one.
   */
  find(subnet: Subnet): string | undefined {
    for (const prefix of prefixesOf(subnet)) {
      for (const { family, length, keys } of this.#byLength.values()) {
        if (family !== prefix.family) continue;
        const found =
          length <= prefix.length ? keys.get(baseBits(prefix, length)) : findInside(keys, length, prefix);
        if (found !== undefined) return found.values().next().value;
      }
    }
    return undefined;
  }
}

function prefixesOf(subnet: Subnet): Prefix[] {
  return [subnet.ipv4, subnet.ipv6].filter((prefix) => prefix !== undefined);
}

/** The first `length` bits of a prefix, as a number. */
function baseBits(prefix: Prefix, length: number): bigint {
  const bits = prefix.family === 4 ? 32 : 128;
  return prefix.address.value >> BigInt(bits - length);
}

function findInside(
  keys: ReadonlyMap<bigint, Set<string>>,
  length: number,
  prefix: Prefix,
): Set<string> | undefined {
  const wanted = baseBits(prefix, prefix.length);
  const extra = BigInt(length - prefix.length);
  for (const [base, found] of keys) if (base >> extra === wanted) return found;
  return undefined;
}
