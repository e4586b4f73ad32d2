import { parseSubnetKey } from "@loden/lease";
import type { Subnet } from "@loden/subnet";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { OverlapIndex } from "./overlap-index.ts";

// Small spaces, so that overlaps are frequent.
const part4 = fc
  .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 22, max: 31 }))
  .map(([value, length]) => `10.5.${value >> 4}.${(value & 15) << 4}-${length}`);
const part6 = fc
  .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 56, max: 66 }))
  .map(([value, length]) => `fd00:5:0:${value.toString(16)}::-${length}`);
const subnets = fc
  .tuple(part4, fc.option(part6))
  .map(([ipv4, ipv6]) => parseSubnetKey(ipv6 === null ? ipv4 : `${ipv4}&${ipv6}`) as Subnet);

test("OverlapIndex finds an overlap exactly when a search of all subnets finds one", () => {
  const steps = fc.array(fc.record({ key: fc.constantFrom("a", "b", "c", "d", "e", "f"), subnet: subnets }), {
    maxLength: 30,
  });
  fc.assert(
    fc.property(steps, (many) => {
      const index = new OverlapIndex();
      const model = new Map<string, Subnet>();
      for (const { key, subnet } of many) {
        const wanted = [...model].filter(([, other]) => overlaps(subnet, other)).map(([name]) => name);
        const found = index.find(subnet);
        expect(wanted.length === 0 ? [undefined] : wanted).toContain(found);
        const before = model.get(key);
        if (before === undefined) {
          model.set(key, subnet);
          index.add(key, subnet);
        } else {
          model.delete(key);
          index.delete(key, before);
        }
      }
    }),
  );
});

function overlaps(a: Subnet, b: Subnet): boolean {
  return (
    (a.ipv4 !== undefined && b.ipv4 !== undefined && a.ipv4.overlaps(b.ipv4)) ||
    (a.ipv6 !== undefined && b.ipv6 !== undefined && a.ipv6.overlaps(b.ipv6))
  );
}
