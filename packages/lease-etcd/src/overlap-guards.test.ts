import { formatSubnetKey, parseSubnetKey } from "@loden/lease";
import type { Subnet } from "@loden/subnet";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { overlapGuards } from "./overlap-guards.ts";

type IPv4Subnet = Subnet & { ipv4: NonNullable<Subnet["ipv4"]> };

const prefix = "/network/subnets/";

// Bases that share many bits, so that overlaps are common.
const subnet = fc
  .tuple(
    fc.constantFrom(0, 10, 172),
    fc.constantFrom(0, 5, 16, 48, 52, 128),
    fc.constantFrom(0, 1, 16, 52, 128, 255),
    fc.constantFrom(0, 64, 128, 254),
    fc.integer({ min: 0, max: 31 }),
    fc.constantFrom("", "&fd00:5::-64"),
  )
  .map(([a, b, c, d, length, ipv6]) => parseSubnetKey(`${a}.${b}.${c}.${d}-${length}${ipv6}`) as IPv4Subnet);

test("overlapGuards() hits the key of another lease exactly when the two overlap in IPv4, where it is complete", () => {
  fc.assert(
    fc.property(subnet, subnet, (wanted, other) => {
      const guards = overlapGuards(prefix, { ipv4: wanted.ipv4 });
      const key = Buffer.from(prefix + formatSubnetKey(other));
      const isHit = guards.ranges.some(
        (range) => Buffer.compare(range.key, key) <= 0 && Buffer.compare(key, range.rangeEnd) < 0,
      );
      // Never a key that is no obstacle; every obstacle where that is promised.
      if (isHit) expect(wanted.ipv4.overlaps(other.ipv4)).toBe(true);
      if (guards.areComplete) expect(isHit).toBe(wanted.ipv4.overlaps(other.ipv4));
    }),
    { numRuns: 5_000 },
  );
});

test("overlapGuards() fits into a transaction together with the key itself", () => {
  for (let length = 0; length < 32; length += 1) {
    const { ipv4 } = parseSubnetKey(`255.255.255.254-${length}`) as IPv4Subnet;
    expect(overlapGuards(prefix, { ipv4 }).ranges.length).toBeLessThan(128);
  }
});

test.each([
  ["10.5.52.0-24", true],
  ["10.5.48.0-20", true],
  ["10.5.52.64-26", true],
  ["10.5.52.128-25", false],
  ["0.0.0.0-0", false],
  ["10.5.52.0-24&fd00:5::-64", false],
])("overlapGuards() says of %s whether it is complete: %s", (key, isComplete) => {
  expect(overlapGuards(prefix, parseSubnetKey(key) as IPv4Subnet).areComplete).toBe(isComplete);
});
