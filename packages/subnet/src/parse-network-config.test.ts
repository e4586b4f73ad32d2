import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { backendOption } from "./backend-option.ts";
import { ConfigError } from "./config-error.ts";
import type { NetworkConfig } from "./network-config.ts";
import { parseNetworkConfig } from "./parse-network-config.ts";

const ipv4 = { Network: "10.3.0.0/16" };
const ipv6 = { EnableIPv4: false, EnableIPv6: true, IPv6Network: "fc00::/48" };

describe("parseNetworkConfig() reads each key", () => {
  test("EnableIPv4 is true when absent or null, and takes a boolean only", () => {
    expect(parse(ipv4)).toMatchObject({ enableIPv4: true, ipv6: undefined });
    expect(parse({ ...ipv4, EnableIPv4: null }).enableIPv4).toBe(true);
    expect(parse({ ...ipv6, ...ipv4 })).toMatchObject({ enableIPv4: false, ipv4: undefined });
    for (const EnableIPv4 of ["true", 1, {}, []])
      expect(keyAtFault({ ...ipv4, EnableIPv4 })).toBe("EnableIPv4");
  });

  test("EnableIPv6 is false when absent or null, and takes a boolean only", () => {
    expect(parse(ipv4).enableIPv6).toBe(false);
    expect(parse({ ...ipv4, EnableIPv6: null }).enableIPv6).toBe(false);
    expect(parse({ ...ipv6, EnableIPv4: true, ...ipv4 })).toMatchObject({
      enableIPv4: true,
      enableIPv6: true,
    });
    for (const EnableIPv6 of ["true", 1, {}, []])
      expect(keyAtFault({ ...ipv4, EnableIPv6 })).toBe("EnableIPv6");
  });

  test("EnableNFTables is false when absent or null, and takes a boolean only", () => {
    expect(parse(ipv4).enableNFTables).toBe(false);
    expect(parse({ ...ipv4, EnableNFTables: true }).enableNFTables).toBe(true);
    for (const EnableNFTables of ["true", 0])
      expect(keyAtFault({ ...ipv4, EnableNFTables })).toBe("EnableNFTables");
  });

  test("Network is an IPv4 network whose host bits are cleared", () => {
    expect(`${parse({ Network: "10.5.3.1/16" }).ipv4?.network.toString()}`).toBe("10.5.0.0/16");
    for (const Network of [null, "", 10, "10.3.0.0", "10.3/16", "010.3.0.0/16", "fc00::/48", "10.3.0.0/33"]) {
      expect(keyAtFault({ Network })).toBe("Network");
    }
  });

  test("IPv6Network is an IPv6 network, unlike in flannel never an IPv4 one", () => {
    expect(parse({ ...ipv6, IPv6Network: "fc00::1/48" }).ipv6?.network.toString()).toBe("fc00::/48");
    for (const IPv6Network of [null, "", 6, "fc00::", "10.3.0.0/16", "fc00::/129"]) {
      expect(keyAtFault({ ...ipv6, IPv6Network })).toBe("IPv6Network");
    }
  });

  test("SubnetLen is an unsigned whole number, where 0, null and absent mean derived", () => {
    expect(parse({ ...ipv4, SubnetLen: 26 }).ipv4?.subnetLength).toBe(26);
    for (const SubnetLen of [0, null, undefined])
      expect(parse({ ...ipv4, SubnetLen }).ipv4?.subnetLength).toBe(24);
    for (const SubnetLen of [-24, 24.5, "24", true, [24]])
      expect(keyAtFault({ ...ipv4, SubnetLen })).toBe("SubnetLen");
    expect(() => parseNetworkConfig(`{"Network":"10.3.0.0/16","SubnetLen":24.0}`)).toThrow(ConfigError);
    expect(() => parseNetworkConfig(`{"Network":"10.3.0.0/16","SubnetLen":2e1}`)).toThrow(ConfigError);
  });

  test.each(["SubnetMin", "SubnetMax"])(
    "%s is an IPv4 address, where 0.0.0.0 and absent mean derived",
    (key) => {
      const field = key === "SubnetMin" ? "subnetMin" : "subnetMax";
      expect(parse({ ...ipv4, [key]: "10.3.7.0" }).ipv4?.[field].toString()).toBe("10.3.7.0");
      expect(parse({ ...ipv4, [key]: "::ffff:10.3.7.0" }).ipv4?.[field].toString()).toBe("10.3.7.0");
      expect(parse({ ...ipv4, [key]: "0.0.0.0" })).toEqual(parse(ipv4));
      for (const value of [null, "", 1, "10.3.7", "10.3.07.0", "fc00::", "10.3.7.0/24"]) {
        expect(keyAtFault({ ...ipv4, [key]: value })).toBe(key);
      }
    },
  );

  test("IPv6SubnetLen is an unsigned whole number, where 0, null and absent mean derived", () => {
    expect(parse({ ...ipv6, IPv6SubnetLen: 80 }).ipv6?.subnetLength).toBe(80);
    for (const IPv6SubnetLen of [0, null, undefined]) {
      expect(parse({ ...ipv6, IPv6SubnetLen }).ipv6?.subnetLength).toBe(64);
    }
    for (const IPv6SubnetLen of [-64, 64.5, "64"]) {
      expect(keyAtFault({ ...ipv6, IPv6SubnetLen })).toBe("IPv6SubnetLen");
    }
  });

  test.each(["IPv6SubnetMin", "IPv6SubnetMax"])(
    "%s is an IPv6 address, where ::, null and absent mean derived",
    (key) => {
      const field = key === "IPv6SubnetMin" ? "subnetMin" : "subnetMax";
      expect(parse({ ...ipv6, [key]: "fc00:0:0:7::" }).ipv6?.[field].toString()).toBe("fc00:0:0:7::");
      for (const value of ["::", null]) expect(parse({ ...ipv6, [key]: value })).toEqual(parse(ipv6));
      for (const value of ["", 1, "10.3.7.0", "fc00:0:0:7::/64", "fc00::7%eth0"]) {
        expect(keyAtFault({ ...ipv6, [key]: value })).toBe(key);
      }
    },
  );

  test("Backend is an object with a Type, and means udp when absent", () => {
    expect(parse(ipv4).backend).toEqual({ type: "udp", options: {} });
    const Backend = { Type: "VXLAN", VNI: 7, More: { deep: [1, "}"] } };
    expect(parse({ ...ipv4, Backend }).backend).toEqual({ type: "vxlan", options: Backend });
    for (const value of [null, "udp", 1, []]) expect(keyAtFault({ ...ipv4, Backend: value })).toBe("Backend");
    for (const value of [{}, { Type: "" }, { Type: null }, { Type: 1 }]) {
      expect(keyAtFault({ ...ipv4, Backend: value })).toBe("Backend.Type");
    }
  });
});

describe("parseNetworkConfig() decodes as Go does", () => {
  test("keys match in any case", () => {
    const text = `{"network":"10.3.0.0/16","enableIPv6":true,"ipv6Network":"fc00::/48","BACKEND":{"type":"Host-GW"}}`;
    expect(JSON.parse(JSON.stringify(parseNetworkConfig(text)))).toMatchObject({
      ipv4: { network: "10.3.0.0/16" },
      ipv6: { network: "fc00::/48" },
      backend: { type: "host-gw" },
    });
  });

  test("the last of duplicate keys wins, whatever their case", () => {
    const lengths = `"SubnetLen":20,"subnetlen":21,"SUBNETLEN":22,"SubnetLen":23`;
    expect(parseNetworkConfig(`{"Network":"10.3.0.0/16",${lengths},"subnetLen":25}`).ipv4?.subnetLength).toBe(
      25,
    );
    expect(parseNetworkConfig(`{"Network":"10.3.0.0/16","subnetlen":25,${lengths}}`).ipv4?.subnetLength).toBe(
      23,
    );
    const config = parseNetworkConfig(
      `{"Network":"10.3.0.0/16","Backend":{"Type":"udp","Port":1,"port":2,"Port":3}}`,
    );
    expect(backendOption(config, "PORT")).toBe(3);
    expect(backendOption(config, "MTU")).toBeUndefined();
  });

  test("unknown keys are ignored, even when they hold what looks like known ones", () => {
    const text = `{ "Extra" : { "Network" : "1.0.0.0/8" } , "__proto__": 1, "\\u004eetwork" : "10.3.0.0/16", "s": "\\"},{" }`;
    expect(parseNetworkConfig(text)).toEqual(parse(ipv4));
  });

  test("SyntaxError is thrown when the text is not JSON", () => {
    for (const text of ["", "{", "{}x", "{'Network':1}", '{"Network":"10.3.0.0/16",}']) {
      expect(() => parseNetworkConfig(text)).toThrow(SyntaxError);
    }
  });

  test("ConfigError is thrown when the JSON is no object", () => {
    for (const value of [null, [], "text", 1, true]) expect(keyAtFault(value)).toBe("");
  });

  test("nothing but SyntaxError and ConfigError is thrown when fed any JSON", () => {
    const keys = ["Network", "IPv6Network", "EnableIPv6", "SubnetLen", "SubnetMin", "Backend"];
    const value = fc.oneof(
      fc.jsonValue(),
      fc.ipV4(),
      fc.integer(),
      fc.constantFrom("10.3.0.0/16", "fc00::/48", "/"),
    );
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...keys), value), fc.string(), (object, text) => {
        expect(["valid", "SyntaxError", "ConfigError"]).toContain(outcome(JSON.stringify(object)));
        expect(["valid", "SyntaxError", "ConfigError"]).toContain(outcome(text));
      }),
      { numRuns: 1000 },
    );
  });
});

describe("parseNetworkConfig() derives and validates IPv4", () => {
  test.each([
    ["10.0.0.0/8", 24, "10.0.1.0", "10.255.255.0"],
    ["10.3.0.0/16", 24, "10.3.1.0", "10.3.255.0"],
    ["10.3.0.0/22", 24, "10.3.1.0", "10.3.3.0"],
    ["10.3.0.0/23", 25, "10.3.0.128", "10.3.1.128"],
    ["10.3.0.0/24", 26, "10.3.0.64", "10.3.0.192"],
    ["10.3.0.0/25", 27, "10.3.0.32", "10.3.0.96"],
    ["10.3.0.0/26", 28, "10.3.0.16", "10.3.0.48"],
    ["10.3.0.0/27", 29, "10.3.0.8", "10.3.0.24"],
    ["10.3.0.0/28", 30, "10.3.0.4", "10.3.0.12"],
    ["255.255.0.0/16", 24, "255.255.1.0", "255.255.255.0"],
  ])("Network %s gives SubnetLen %i, SubnetMin %s, SubnetMax %s", (Network, length, min, max) => {
    expect(derived(parse({ Network }), "ipv4")).toEqual([length, min, max]);
  });

  test("given values are kept, as flannel's test of overrides has them", () => {
    const config = { Network: "10.3.0.0/16", SubnetMin: "10.3.5.0", SubnetMax: "10.3.8.0", SubnetLen: 28 };
    expect(derived(parse(config), "ipv4")).toEqual([28, "10.3.5.0", "10.3.8.0"]);
  });

  test.each([
    ["Network is absent", {}, "Network"],
    ["Network is everything", { Network: "0.0.0.0/0" }, "Network"],
    ["Network is too narrow to derive from", { Network: "10.3.0.0/29" }, "Network"],
    ["SubnetLen is above 30", { ...ipv4, SubnetLen: 31 }, "SubnetLen"],
    ["SubnetLen leaves fewer than four subnets", { ...ipv4, SubnetLen: 17 }, "SubnetLen"],
    ["SubnetMin is outside of Network", { ...ipv4, SubnetMin: "10.4.0.0" }, "SubnetMin"],
    ["SubnetMax is outside of Network", { ...ipv4, SubnetMax: "10.2.0.0" }, "SubnetMax"],
    ["SubnetMin is not aligned", { ...ipv4, SubnetMin: "10.3.1.1" }, "SubnetMin"],
    ["SubnetMax is not aligned", { ...ipv4, SubnetMax: "10.3.1.128" }, "SubnetMax"],
    ["SubnetMin is above SubnetMax", { ...ipv4, SubnetMin: "10.3.9.0", SubnetMax: "10.3.8.0" }, "SubnetMin"],
  ])("ConfigError is thrown when %s", (_, config, key) => {
    expect(keyAtFault(config)).toBe(key);
  });

  test("the limits themselves are accepted", () => {
    expect(derived(parse({ ...ipv4, SubnetLen: 30 }), "ipv4")).toEqual([30, "10.3.0.4", "10.3.255.252"]);
    expect(derived(parse({ ...ipv4, SubnetLen: 18 }), "ipv4")).toEqual([18, "10.3.64.0", "10.3.192.0"]);
    const oneSubnet = { ...ipv4, SubnetMin: "10.3.0.0", SubnetMax: "10.3.0.0" };
    expect(derived(parse(oneSubnet), "ipv4")).toEqual([24, "10.3.0.0", "10.3.0.0"]);
  });

  test("nothing is validated when IPv4 is disabled, but types are", () => {
    expect(parse({ ...ipv6, Network: "10.3.0.0/31", SubnetLen: 99 }).ipv4).toBeUndefined();
    expect(keyAtFault({ ...ipv6, SubnetLen: "24" })).toBe("SubnetLen");
  });
});

describe("parseNetworkConfig() derives and validates IPv6", () => {
  test.each([
    ["fc00::/48", 64, "fc00:0:0:1::", "fc00:0:0:ffff::"],
    ["fc00::/62", 64, "fc00:0:0:1::", "fc00:0:0:3::"],
    ["fc00::/63", 65, "fc00::8000:0:0:0", "fc00:0:0:1:8000::"],
    ["fc00::/64", 66, "fc00::4000:0:0:0", "fc00::c000:0:0:0"],
    ["fc00::/124", 126, "fc00::4", "fc00::c"],
    ["ffff:ffff:ffff::/48", 64, "ffff:ffff:ffff:1::", "ffff:ffff:ffff:ffff::"],
  ])(
    "IPv6Network %s gives IPv6SubnetLen %i, IPv6SubnetMin %s, IPv6SubnetMax %s",
    (IPv6Network, length, min, max) => {
      expect(derived(parse({ ...ipv6, IPv6Network }), "ipv6")).toEqual([length, min, max]);
    },
  );

  test("given values are kept, as flannel's test of overrides has them", () => {
    const range = { IPv6SubnetMin: "fc00:0:0:1::", IPv6SubnetMax: "fc00:0:0:f::", IPv6SubnetLen: 64 };
    expect(derived(parse({ ...ipv6, ...range }), "ipv6")).toEqual([64, "fc00:0:0:1::", "fc00:0:0:f::"]);
  });

  test.each([
    ["IPv6Network is absent", { EnableIPv4: false, EnableIPv6: true }, "IPv6Network"],
    ["IPv6Network is everything", { ...ipv6, IPv6Network: "::/0" }, "IPv6Network"],
    ["IPv6Network is too narrow to derive from", { ...ipv6, IPv6Network: "fc00::/125" }, "IPv6Network"],
    ["IPv6SubnetLen is above 126", { ...ipv6, IPv6SubnetLen: 127 }, "IPv6SubnetLen"],
    ["IPv6SubnetLen leaves fewer than four subnets", { ...ipv6, IPv6SubnetLen: 49 }, "IPv6SubnetLen"],
    ["IPv6SubnetMin is outside of IPv6Network", { ...ipv6, IPv6SubnetMin: "fc00:0:1::" }, "IPv6SubnetMin"],
    ["IPv6SubnetMax is outside of IPv6Network", { ...ipv6, IPv6SubnetMax: "fc00:0:1::" }, "IPv6SubnetMax"],
    ["IPv6SubnetMin is not aligned", { ...ipv6, IPv6SubnetMin: "fc00:0:0:1::1" }, "IPv6SubnetMin"],
    ["IPv6SubnetMax is not aligned", { ...ipv6, IPv6SubnetMax: "fc00:0:0:1::1" }, "IPv6SubnetMax"],
    [
      "the range is inverted",
      { ...ipv6, IPv6SubnetMin: "fc00:0:0:9::", IPv6SubnetMax: "fc00:0:0:8::" },
      "IPv6SubnetMin",
    ],
  ])("ConfigError is thrown when %s", (_, config, key) => {
    expect(keyAtFault(config)).toBe(key);
  });
});

describe("parseNetworkConfig() judges the whole", () => {
  test("ConfigError is thrown when both families are disabled", () => {
    expect(keyAtFault({ ...ipv4, EnableIPv4: false })).toBe("EnableIPv4");
    expect(keyAtFault({ EnableIPv4: false, EnableIPv6: false })).toBe("EnableIPv4");
  });

  test("ConfigError says what is so and what was expected", () => {
    expect(() => parse({ ...ipv4, SubnetLen: "24" })).toThrow(
      'Cannot parse network config: SubnetLen is "24", expected a whole number',
    );
    expect(() => parse({ ...ipv6, IPv6Network: "10.3.0.0/16" })).toThrow(
      'Cannot parse network config: IPv6Network is "10.3.0.0/16", expected an IPv6 network like "fd00:5::/48"',
    );
    expect(() => parse({ ...ipv4, SubnetMin: "10.3.9.0", SubnetMax: "10.3.8.0" })).toThrow(
      "Cannot parse network config: SubnetMin is 10.3.9.0, expected at most SubnetMax, 10.3.8.0",
    );
  });
});

function parse(config: unknown): NetworkConfig {
  return parseNetworkConfig(JSON.stringify(config));
}

function derived(config: NetworkConfig, family: "ipv4" | "ipv6"): unknown[] {
  const network = config[family];
  return [network?.subnetLength, network?.subnetMin.toString(), network?.subnetMax.toString()];
}

/** The key that the ConfigError names. */
function keyAtFault(config: unknown): string {
  try {
    parse(config);
  } catch (error) {
    if (error instanceof ConfigError && error.code === "ERR_NETWORK_CONFIG") return error.key;
    throw error;
  }
  return "no error";
}

function outcome(text: string): string {
  try {
    parseNetworkConfig(text);
    return "valid";
  } catch (error) {
    return error instanceof Error ? error.name : String(error);
  }
}
