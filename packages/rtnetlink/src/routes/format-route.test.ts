import { parseAddress, parsePrefix } from "@loden/ip";
import { expect, test } from "vitest";
import { formatRoute } from "./format-route.ts";

test("formatRoute() writes what ip route add takes when every attribute is there", () => {
  expect(
    formatRoute({
      destination: parsePrefix("fd01::/64"),
      type: "local",
      table: 100,
      protocol: 3,
      scope: "host",
      source: parseAddress("fd00::1"),
      metric: 7,
      mtu: 1300,
      nextHops: [{ gateway: parseAddress("fd00::7"), link: "eth0", weight: 2 }],
    }),
  ).toBe(
    "local fd01::/64 table 100 proto boot scope host src fd00::1 metric 7 mtu 1300 " +
      "nexthop via fd00::7 dev eth0 weight 2",
  );
});

test("formatRoute() leaves out what is absent or default", () => {
  const destination = parsePrefix("0.0.0.0/0");
  expect(formatRoute({ destination, link: "eth0" })).toBe("0.0.0.0/0 dev eth0");
  expect(
    formatRoute({
      destination,
      gateway: parseAddress("10.0.0.1"),
      link: "eth0",
      onlink: true,
      table: 254,
      type: "unicast",
      scope: "global",
      metric: 0,
    }),
  ).toBe("0.0.0.0/0 via 10.0.0.1 dev eth0 onlink");
});
