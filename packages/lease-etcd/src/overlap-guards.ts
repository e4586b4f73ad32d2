import type { Subnet } from "@loden/subnet";
import type { OpenKeyRange } from "./transport/etcd-transport.ts";

/** The ranges of keys that have to be empty for a subnet to be free. */
export interface OverlapGuards {
  readonly ranges: readonly OpenKeyRange[];
  /** Whether a subnet is free whenever they are empty. If not, the keys have to be listed too. */
  readonly areComplete: boolean;
}

type Prefix = NonNullable<Subnet["ipv4"]>;

// etcd takes 128 conditions in a transaction.
const mostInside = 64;

/**
 * Says which keys would overlap a subnet, so that one transaction can check that there are none. A key starts with the
 * IPv4 base, so the keys inside the subnet are a few ranges of text, and each prefix around it is one more. An IPv6 part
 * comes later in the key: no range of text says anything about it.
 *
 * @param leasePrefix - what every lease's key begins with
 * @param subnet - to be claimed; with an IPv4 part
 * @returns the ranges
 */
export function overlapGuards(
  leasePrefix: string,
  subnet: Subnet & { readonly ipv4: Prefix },
): OverlapGuards {
  const { ipv4, ipv6 } = subnet;
  const inside = basesInside(ipv4);
  const ranges = [...inside, ...basesAround(ipv4)].map(({ start, end }) => ({
    key: Buffer.from(leasePrefix + start),
    rangeEnd: Buffer.from(leasePrefix + end),
  }));
  return { ranges, areComplete: ipv6 === undefined && inside.length > 0 };
}

interface TextRange {
  readonly start: string;
  /** The first text that is not in it. */
  readonly end: string;
}

/** Keys whose IPv4 base lies in the prefix; nothing when that takes too many ranges. */
function basesInside(prefix: Prefix): TextRange[] {
  const octets = Math.ceil(prefix.length / 8);
  const count = 2 ** (8 * octets - prefix.length);
  if (octets === 0 || count > mostInside) return [];
  const first = prefix.address.toString().split(".").slice(0, octets).map(Number);
  return Array.from({ length: count }, (_, index) => {
    const base = [...first.slice(0, -1), (first.at(-1) ?? 0) + index].join(".");
    return octets === 4 ? { start: `${base}-`, end: `${base}.` } : { start: `${base}.`, end: `${base}/` };
  });
}

/** Keys of the prefixes that contain this one and have another base; with or without an IPv6 part. */
function basesAround(prefix: Prefix): TextRange[] {
  const ranges: TextRange[] = [];
  const own = prefix.address.toNumber();
  for (let length = prefix.length - 1; length >= 0; length -= 1) {
    const base = length === 0 ? 0 : (own & (0xffff_ffff << (32 - length))) >>> 0;
    if (base === own) continue;
    const text = [24, 16, 8, 0].map((shift) => (base >>> shift) & 0xff).join(".");
    // The key itself and everything that begins with it and "&": a digit in that place is another length.
    ranges.push({ start: `${text}-${length}`, end: `${text}-${length}'` });
  }
  return ranges;
}
