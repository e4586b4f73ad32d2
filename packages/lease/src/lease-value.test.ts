import { parseAddress } from "@loden/ip";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { LeaseAttributes } from "./lease.ts";
import { sameAttributes } from "./lease.ts";
import { formatLeaseValue, parseLeaseValue } from "./lease-value.ts";

const publicIP = parseAddress("1.2.3.4");
const publicIPv6 = parseAddress("fd00::3");
const vxlan = { VNI: 1, VtepMAC: "c6:d2:32:6f:8f:44" };
const key = "D9CQ+S7CRLWv5gG5BzhDtNqzBMHZqpvVBSuwA0Qtqkg=";

// Byte for byte what flannel keeps in etcd, one row per backend.
const values: readonly { backend: string; text: string; attributes: LeaseAttributes }[] = [
  {
    backend: "udp, alloc and tencent-vpc",
    text: '{"PublicIP":"1.2.3.4","PublicIPv6":null}',
    attributes: { publicIP, backendType: "" },
  },
  ...["host-gw", "ipip", "ipsec"].map((backend) => ({
    backend,
    text: `{"PublicIP":"1.2.3.4","PublicIPv6":null,"BackendType":"${backend}"}`,
    attributes: { publicIP, backendType: backend },
  })),
  {
    backend: "vxlan",
    text: '{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}',
    attributes: { publicIP: parseAddress("192.168.64.3"), backendType: "vxlan", backendData: vxlan },
  },
  {
    backend: "vxlan in a dual-stack network",
    text: '{"PublicIP":"1.2.3.4","PublicIPv6":"fd00::3","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"},"BackendV6Data":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}',
    attributes: { publicIP, publicIPv6, backendType: "vxlan", backendData: vxlan, backendV6Data: vxlan },
  },
  {
    backend: "wireguard",
    text: `{"PublicIP":"1.2.3.4","PublicIPv6":null,"BackendType":"wireguard","BackendData":{"PublicKey":"${key}","Port":51820}}`,
    attributes: { publicIP, backendType: "wireguard", backendData: { PublicKey: key, Port: 51820 } },
  },
  {
    backend: "wireguard in a dual-stack network",
    text: `{"PublicIP":"1.2.3.4","PublicIPv6":"fd00::3","BackendType":"wireguard","BackendData":{"PublicKey":"${key}","Port":51820},"BackendV6Data":{"PublicKey":"${key}","Port":51821}}`,
    attributes: {
      publicIP,
      publicIPv6,
      backendType: "wireguard",
      backendData: { PublicKey: key, Port: 51820 },
      backendV6Data: { PublicKey: key, Port: 51821 },
    },
  },
  {
    backend: "extension",
    text: '{"PublicIP":"1.2.3.4","PublicIPv6":null,"BackendType":"extension","BackendData":"10.0.0.1\\n"}',
    attributes: { publicIP, backendType: "extension", backendData: "10.0.0.1\n" },
  },
  {
    backend: "extension without a PreStartupCommand",
    text: '{"PublicIP":"1.2.3.4","PublicIPv6":null,"BackendType":"extension"}',
    attributes: { publicIP, backendType: "extension" },
  },
  {
    backend: "a host without an IPv4 address",
    text: '{"PublicIP":"0.0.0.0","PublicIPv6":"fd00::3"}',
    attributes: { publicIPv6, backendType: "" },
  },
  {
    backend: "a Loden host that says what it can do",
    text: '{"PublicIP":"1.2.3.4","PublicIPv6":null,"BackendData":{"Loden":{"v":1,"gso":true}}}',
    attributes: { publicIP, backendType: "", backendData: { Loden: { v: 1, gso: true } } },
  },
  {
    backend: "data that is null",
    text: '{"PublicIP":"1.2.3.4","PublicIPv6":null,"BackendType":"x","BackendData":null}',
    attributes: { publicIP, backendType: "x", backendData: null },
  },
];

describe("formatLeaseValue()", () => {
  test.each(values)("writes flannel's bytes for $backend", ({ text, attributes }) => {
    expect(formatLeaseValue(attributes)).toBe(text);
  });

  test("escapes what Go's encoder escapes", () => {
    const attributes = { publicIP, backendType: "<a>", backendData: "1 < 2 && \u2028 / é" };
    expect(formatLeaseValue(attributes)).toBe(
      String.raw`{"PublicIP":"1.2.3.4","PublicIPv6":null,"BackendType":"\u003ca\u003e","BackendData":"1 \u003c 2 \u0026\u0026 \u2028 / é"}`,
    );
  });

  // Each of these would make a flannel host withdraw all its peers, or take the lease for something else.
  test.each<[string, LeaseAttributes, ErrorConstructor]>([
    ["an IPv6 address as publicIP", { publicIP: publicIPv6, backendType: "" }, RangeError],
    ["an IPv4 address as publicIPv6", { publicIPv6: publicIP, backendType: "" }, RangeError],
    ["the backend type udp", { publicIP, backendType: "udp" }, RangeError],
    ["the backend type alloc", { publicIP, backendType: "alloc" }, RangeError],
    ["the backend type tencent-vpc", { publicIP, backendType: "tencent-vpc" }, RangeError],
    [
      "a backend type that is no string",
      { publicIP, backendType: 1 } as unknown as LeaseAttributes,
      TypeError,
    ],
    [
      "backend data that is no JSON",
      { publicIP, backendType: "x", backendData: (() => 1) as unknown as null },
      TypeError,
    ],
  ])("refuses %s", (_, attributes, error) => {
    expect(() => formatLeaseValue(attributes)).toThrow(error);
  });

  test("is read back by parseLeaseValue() whatever the backend data", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string(), (data, type) => {
        fc.pre(!["udp", "alloc", "tencent-vpc"].includes(type));
        // JSON.stringify() turns -0 into 0.
        const backendData = JSON.parse(JSON.stringify(data)) as null;
        const attributes = { publicIP, publicIPv6, backendType: type, backendData };
        expect(sameAttributes(parseLeaseValue(formatLeaseValue(attributes)), attributes)).toBe(true);
      }),
    );
  });
});

describe("parseLeaseValue()", () => {
  test.each(values)("reads what flannel writes for $backend", ({ text, attributes }) => {
    expect(parseLeaseValue(text)).toEqual(attributes);
  });

  test.each<[string, string, LeaseAttributes]>([
    ["no members", "{}", { backendType: "" }],
    ["no PublicIPv6", '{"PublicIP":"1.2.3.4"}', { publicIP, backendType: "" }],
    ["no PublicIP", '{"PublicIPv6":"fd00::3"}', { publicIPv6, backendType: "" }],
    ["members in any case", '{"publicip":"1.2.3.4","BACKENDTYPE":"x"}', { publicIP, backendType: "x" }],
    [
      "spaces and another order",
      ' {\n"BackendType": "x", "PublicIP": "1.2.3.4" } ',
      { publicIP, backendType: "x" },
    ],
    ["members it does not know", '{"PublicIP":"1.2.3.4","Zone":{"a":[1]}}', { publicIP, backendType: "" }],
    ["a BackendType of null", '{"PublicIP":"1.2.3.4","BackendType":null}', { publicIP, backendType: "" }],
    [
      "a member given twice: the last",
      '{"PublicIP":"9.9.9.9","PublicIP":"1.2.3.4"}',
      { publicIP, backendType: "" },
    ],
    ["an IPv4-mapped PublicIP", '{"PublicIP":"::ffff:1.2.3.4"}', { publicIP, backendType: "" }],
    [
      "an IPv4 address as PublicIPv6",
      '{"PublicIP":"1.2.3.4","PublicIPv6":"1.2.3.4"}',
      { publicIP, publicIPv6: parseAddress("::ffff:1.2.3.4"), backendType: "" },
    ],
    [
      "backend data that is no object",
      '{"PublicIP":"1.2.3.4","BackendData":[1,"a",null]}',
      { publicIP, backendType: "", backendData: [1, "a", null] },
    ],
  ])("takes %s", (_, text, attributes) => {
    expect(parseLeaseValue(text)).toEqual(attributes);
  });

  test.each([
    ["nothing", ""],
    ["no JSON", "{"],
    ["JSON and more", "{} {}"],
    ["null", "null"],
    ["an array", "[]"],
    ["a string", '"1.2.3.4"'],
    ["a PublicIP of null", '{"PublicIP":null}'],
    ["a PublicIP that is a number", '{"PublicIP":16909060}'],
    ["an empty PublicIP", '{"PublicIP":""}'],
    ["a PublicIP with a leading zero", '{"PublicIP":"1.2.3.04"}'],
    ["an IPv6 address as PublicIP", '{"PublicIP":"fd00::3"}'],
    ["an empty PublicIPv6", '{"PublicIP":"1.2.3.4","PublicIPv6":""}'],
    ["a PublicIPv6 that is no address", '{"PublicIP":"1.2.3.4","PublicIPv6":"fd00"}'],
    ["a BackendType that is a number", '{"PublicIP":"1.2.3.4","BackendType":1}'],
  ])("throws a SyntaxError for %s, which flannel cannot decode either", (_, text) => {
    expect(() => parseLeaseValue(text)).toThrow(SyntaxError);
  });

  test("throws nothing but a SyntaxError, whatever the text", () => {
    const member = fc.constantFrom("PublicIP", "PublicIPv6", "BackendType", "BackendData", "__proto__", "x");
    const json = fc.dictionary(member, fc.jsonValue()).map((value) => JSON.stringify(value));
    fc.assert(
      fc.property(fc.oneof(fc.string(), json), (text) => {
        let failure: unknown = new SyntaxError("none");
        try {
          parseLeaseValue(text);
        } catch (error) {
          failure = error;
        }
        expect(failure).toBeInstanceOf(SyntaxError);
      }),
    );
  });
});
