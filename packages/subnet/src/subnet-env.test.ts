import { parsePrefix } from "@loden/ip";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseNetworkConfig } from "./parse-network-config.ts";
import { formatSubnetEnv, parseSubnetEnv } from "./subnet-env.ts";

const dual = parseNetworkConfig(
  `{"Network":"10.42.0.0/16","EnableIPv6":true,"IPv6Network":"2001:cafe:42::/56","IPv6SubnetLen":64}`,
);
const ipv4 = parsePrefix("10.42.0.0/24");
const ipv6 = parsePrefix("2001:cafe:42::/64");

describe("formatSubnetEnv()", () => {
  test("formatSubnetEnv() writes flannel's text when dual stack", () => {
    expect(formatSubnetEnv({ config: dual, subnet: { ipv4, ipv6 }, mtu: 1450, ipMasq: true })).toBe(
      "FLANNEL_NETWORK=10.42.0.0/16\n" +
        "FLANNEL_SUBNET=10.42.0.1/24\n" +
        "FLANNEL_IPV6_NETWORK=2001:cafe:42::/56\n" +
        "FLANNEL_IPV6_SUBNET=2001:cafe:42::1/64\n" +
        "FLANNEL_MTU=1450\n" +
        "FLANNEL_IPMASQ=true\n",
    );
  });

  test("formatSubnetEnv() writes only the family that is enabled", () => {
    const only4 = parseNetworkConfig(`{"Network":"10.42.0.0/16"}`);
    expect(formatSubnetEnv({ config: only4, subnet: { ipv4, ipv6 }, mtu: 1472, ipMasq: false })).toBe(
      "FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.0.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n",
    );
    const only6 = parseNetworkConfig(
      `{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"2001:cafe:42::/56"}`,
    );
    expect(formatSubnetEnv({ config: only6, subnet: { ipv6 }, mtu: 1472, ipMasq: false })).toBe(
      "FLANNEL_IPV6_NETWORK=2001:cafe:42::/56\nFLANNEL_IPV6_SUBNET=2001:cafe:42::1/64\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n",
    );
  });

  test("formatSubnetEnv() throws TypeError when an enabled family is missing from the subnet", () => {
    expect(() => formatSubnetEnv({ config: dual, subnet: { ipv4 }, mtu: 1450, ipMasq: true })).toThrow(
      "Cannot format subnet.env: the subnet has no IPv6 part, expected one in 2001:cafe:42::/56",
    );
  });
});

describe("parseSubnetEnv()", () => {
  test("parseSubnetEnv() reads back what formatSubnetEnv() writes", () => {
    const text = formatSubnetEnv({ config: dual, subnet: { ipv4, ipv6 }, mtu: 1450, ipMasq: true });
    expect(parseSubnetEnv(text)).toEqual({
      networks: [dual.ipv4?.network],
      ipv6Networks: [dual.ipv6?.network],
      subnet: { ipv4, ipv6 },
      mtu: 1450,
      ipMasq: true,
    });
  });

  test.each([
    `FLANNEL_SUBNET=10.42.0.1/24`,
    `export FLANNEL_SUBNET="10.42.0.1/24" # ours`,
    `  FLANNEL_SUBNET = '10.42.0.1/24'\r\nFLANNEL_MTU=1450\r\n`,
    `# FLANNEL_SUBNET=10.9.9.1/24\nFLANNEL_SUBNET=10.42.0.1/24   # ours`,
    `FLANNEL_SUBNET=10.9.9.1/24\nFLANNEL_SUBNET=10.42.0.1/24`,
    `FLANNEL_SUBNET=10.42.0.1/24,nonsense,10.42.0.300/24`,
  ])("parseSubnetEnv() finds the subnet in %j", (text) => {
    expect(parseSubnetEnv(text).subnet).toEqual({ ipv4 });
  });

  test.each([
    "",
    "nonsense",
    "FLANNEL_SUBNET",
    "FLANNEL_SUBNET=",
    "FLANNEL_SUBNET=10.42.0.1",
    "FLANNEL_SUBNET=10.42.0.0/24,10.42.1.0/24",
    "FLANNEL_SUBNET=2001:cafe:42::1/64",
    "FLANNEL_IPV6_SUBNET=10.42.0.1/24",
    "MY_FLANNEL_SUBNET=10.42.0.1/24",
  ])("parseSubnetEnv() finds no subnet in %j", (text) => {
    expect(parseSubnetEnv(text)).toMatchObject({ subnet: {}, mtu: undefined, ipMasq: undefined });
  });

  test("parseSubnetEnv() keeps the valid entries of a list in order when some are not", () => {
    const text = "FLANNEL_NETWORK=10.42.0.0/16,bad,10.43.0.0/16\nFLANNEL_IPV6_NETWORK=bad,2001:cafe:42::/56";
    expect(parseSubnetEnv(text).networks.map(String)).toEqual(["10.42.0.0/16", "10.43.0.0/16"]);
    expect(parseSubnetEnv(text).ipv6Networks.map(String)).toEqual(["2001:cafe:42::/56"]);
  });

  test("parseSubnetEnv() throws nothing when fed any text", () => {
    const line = fc.oneof(
      fc.string(),
      fc.string().map((value) => `FLANNEL_SUBNET=${value}`),
    );
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        expect(parseSubnetEnv(lines.join("\n")).subnet).toBeDefined();
      }),
    );
  });
});
