import { expect, test } from "vitest";
import { addressFamilyNumber, addressFamilyOf } from "./address-family.ts";

test("addressFamilyNumber() gives AF_INET and AF_INET6, and addressFamilyOf() reads them back", () => {
  expect([addressFamilyNumber(4), addressFamilyNumber(6)]).toEqual([2, 10]);
  for (const family of [4, 6] as const) expect(addressFamilyOf(addressFamilyNumber(family))).toBe(family);
});

test.each([0, 1, 7, 4, 6, undefined])("addressFamilyOf() is undefined for %s", (number) => {
  expect(addressFamilyOf(number)).toBeUndefined();
});
