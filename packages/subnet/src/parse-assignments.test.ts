import { describe, expect, test } from "vitest";
import { ConfigError } from "./config-error.ts";
import { findAssignment } from "./find-assignment.ts";
import { parseNetworkConfig } from "./parse-network-config.ts";
import { formatSubnet } from "./subnet.ts";

const ipv4 = { Network: "10.5.0.0/16" };
const dualStack = { ...ipv4, EnableIPv6: true, IPv6Network: "fd00:5::/48" };

describe("parseNetworkConfig() reads Loden.Assignments", () => {
  test("by public address in any spelling and by host name in any case", () => {
    const assignments = {
      "2001:DB8:0::7": "10.5.7.0/24",
      "Host-A": "10.5.8.0/24",
      "192.0.2.9": "10.5.9.0/24",
    };
    const config = parseNetworkConfig(JSON.stringify({ ...ipv4, loden: { assignments, Other: 1 } }));
    expect([...(config.assignments?.keys() ?? [])]).toEqual(["2001:db8::7", "host-a", "192.0.2.9"]);
    const find = (...names: string[]): string => formatSubnet(findAssignment(config, names) ?? {});
    expect(find("192.0.2.1", "HOST-A")).toBe("10.5.8.0/24");
    expect(find("192.0.2.9", "host-a")).toBe("10.5.9.0/24");
    expect(find("2001:db8:0:0::7")).toBe("10.5.7.0/24");
    expect(find("192.0.2.1", "host-b", "not a name")).toBe("");
    expect(find()).toBe("");
  });

  test("with both subnets of a dual-stack host, in any order", () => {
    const assignments = { a: "10.5.7.0/24 fd00:5:0:7::/64", b: "fd00:5:0:8::/64 10.5.8.0/24" };
    const config = parseNetworkConfig(JSON.stringify({ ...dualStack, Loden: { assignments } }));
    expect([...(config.assignments?.values() ?? [])].map(formatSubnet)).toEqual([
      "10.5.7.0/24 fd00:5:0:7::/64",
      "10.5.8.0/24 fd00:5:0:8::/64",
    ]);
  });

  test.each([
    {},
    { Loden: null },
    { Loden: {} },
    { Loden: { Assignments: {} } },
    { Loden: { Assignments: null } },
  ])("as none for %j", (more) => {
    expect(parseNetworkConfig(JSON.stringify({ ...ipv4, ...more })).assignments).toBeUndefined();
  });

  test.each([
    ["Loden that is no object", ipv4, "text", "Loden"],
    ["Assignments that are no object", ipv4, { Assignments: [] }, "Loden.Assignments"],
    ["a host that is no name", ipv4, { Assignments: { "a b": "10.5.7.0/24" } }, "Loden.Assignments.a b"],
    ["a host without a name", ipv4, { Assignments: { "": "10.5.7.0/24" } }, "Loden.Assignments."],
    ["a subnet that is a number", ipv4, { Assignments: { a: 7 } }, "Loden.Assignments.a"],
    ["a subnet that is none", ipv4, { Assignments: { a: "10.5.7.0" } }, "Loden.Assignments.a"],
    ["a subnet with host bits", ipv4, { Assignments: { a: "10.5.7.1/24" } }, "Loden.Assignments.a"],
    ["a subnet of another length", ipv4, { Assignments: { a: "10.5.7.0/25" } }, "Loden.Assignments.a"],
    ["a subnet outside of the network", ipv4, { Assignments: { a: "10.6.7.0/24" } }, "Loden.Assignments.a"],
    ["a subnet below SubnetMin", ipv4, { Assignments: { a: "10.5.0.0/24" } }, "Loden.Assignments.a"],
    ["a family too few", dualStack, { Assignments: { a: "10.5.7.0/24" } }, "Loden.Assignments.a"],
    ["a family too many", ipv4, { Assignments: { a: "10.5.7.0/24 fd00::/64" } }, "Loden.Assignments.a"],
    ["a family twice", ipv4, { Assignments: { a: "10.5.7.0/24 10.5.8.0/24" } }, "Loden.Assignments.a"],
    ["a host twice", ipv4, { Assignments: { a: "10.5.7.0/24", A: "10.5.8.0/24" } }, "Loden.Assignments.A"],
    ["a subnet twice", ipv4, { Assignments: { a: "10.5.7.0/24", b: "10.5.7.0/24" } }, "Loden.Assignments.b"],
    [
      "an overlap in one family",
      dualStack,
      { Assignments: { a: "10.5.7.0/24 fd00:5:0:7::/64", b: "10.5.8.0/24 fd00:5:0:7::/64" } },
      "Loden.Assignments.b",
    ],
  ])("and names the key at fault for %s", (_what, network, loden, key) => {
    const parse = (): unknown => parseNetworkConfig(JSON.stringify({ ...network, Loden: loden }));
    expect(parse).toThrow(ConfigError);
    expect(parse).toThrow(expect.objectContaining({ key }) as Error);
  });
});
