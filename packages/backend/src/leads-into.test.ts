import { parsePrefix } from "@loden/ip";
import { parseNetworkConfig } from "@loden/subnet";
import { expect, test } from "vitest";
import { leadsInto } from "./index.ts";

const network = parseNetworkConfig('{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48"}');

test.each([
  ["a subnet of it", "10.5.2.0/24", undefined, true],
  ["all of it", "10.5.0.0/16", "unicast", true],
  ["an IPv6 subnet of it", "fd00:5:0:2::/64", undefined, true],
  ["more than it", "10.0.0.0/8", undefined, false],
  ["another network", "10.6.2.0/24", undefined, false],
  ["nowhere", "10.5.2.0/24", "blackhole", false],
])("leadsInto() knows routes to peers when one leads to %s", (_, destination, type, expected) => {
  expect(leadsInto(network, { destination: parsePrefix(destination), type })).toBe(expected);
  expect(leadsInto(undefined, { destination: parsePrefix(destination), type })).toBe(false);
});
