import { describe, expect, test } from "vitest";
import type { BackendOptionsByType, BackendType } from "./backend-options.ts";
import { ConfigError } from "./config-error.ts";
import { parseBackendOptions } from "./parse-backend-options.ts";
import { parseNetworkConfig } from "./parse-network-config.ts";

const key32 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const secret = "s".repeat(96);

describe("parseBackendOptions()", () => {
  test.each<{ [T in BackendType]: [T, object, BackendOptionsByType[T]] }[BackendType]>([
    ["udp", {}, { port: 8285 }],
    ["udp", { Port: 7890 }, { port: 7890 }],
    ["vxlan", {}, { vni: 1, port: 0, mtu: 0, gbp: false, learning: false, directRouting: false }],
    [
      "vxlan",
      { vni: 4096, port: 4789, mtu: 1400, gbp: true, learning: true, directrouting: true },
      { vni: 4096, port: 4789, mtu: 1400, gbp: true, learning: true, directRouting: true },
    ],
    // The keys that only flannel on Windows reads are unknown keys here.
    [
      "vxlan",
      { Name: "flannel.4096", MacPrefix: "0E-2A", VNI: 4096, Port: 4789 },
      { vni: 4096, port: 4789, mtu: 0, gbp: false, learning: false, directRouting: false },
    ],
    ["host-gw", {}, {}],
    ["ipip", {}, { directRouting: false }],
    ["ipip", { DirectRouting: true }, { directRouting: true }],
    [
      "wireguard",
      {},
      {
        listenPort: 51820,
        listenPortV6: 51821,
        mtu: 0,
        psk: "",
        persistentKeepaliveInterval: 0,
        mode: "separate",
      },
    ],
    [
      "wireguard",
      {
        ListenPort: 1,
        ListenPortV6: 2,
        MTU: 1420,
        PSK: key32,
        PersistentKeepaliveInterval: 25,
        Mode: "auto",
      },
      {
        listenPort: 1,
        listenPortV6: 2,
        mtu: 1420,
        psk: key32,
        persistentKeepaliveInterval: 25,
        mode: "auto",
      },
    ],
    [
      "ipsec",
      { PSK: secret },
      { udpEncap: false, espProposal: "aes128gcm16-sha256-prfsha256-ecp256", psk: secret },
    ],
    [
      "extension",
      {},
      { preStartupCommand: "", postStartupCommand: "", subnetAddCommand: "", subnetRemoveCommand: "" },
    ],
    [
      "extension",
      { PreStartupCommand: "a", PostStartupCommand: "b", SubnetAddCommand: "c", SubnetRemoveCommand: "d" },
      { preStartupCommand: "a", postStartupCommand: "b", subnetAddCommand: "c", subnetRemoveCommand: "d" },
    ],
    ["alloc", {}, {}],
    ["tencent-vpc", {}, { accessKeyId: "", accessKeySecret: "" }],
    ["tencent-vpc", { AccessKeyID: "a", AccessKeySecret: "b" }, { accessKeyId: "a", accessKeySecret: "b" }],
  ])("parseBackendOptions() reads %s with %j", (type, options, expected) => {
    expect(parseBackendOptions(config(type, options), type)).toEqual(expected);
  });

  test("parseBackendOptions() takes the default when a value is null", () => {
    expect(parseBackendOptions(config("udp", { Port: null }), "udp")).toEqual({ port: 8285 });
  });

  test.each<[BackendType, object, string]>([
    ["udp", { Port: 0 }, "Port"],
    ["udp", { Port: 65_536 }, "Port"],
    ["udp", { Port: -1 }, "Port"],
    ["udp", { Port: 82.5 }, "Port"],
    ["udp", { Port: "8285" }, "Port"],
    ["vxlan", { VNI: 2 ** 24 }, "VNI"],
    ["vxlan", { VNI: -1 }, "VNI"],
    ["vxlan", { Port: 65_536 }, "Port"],
    ["vxlan", { MTU: -1 }, "MTU"],
    ["vxlan", { GBP: "true" }, "GBP"],
    ["vxlan", { Learning: 1 }, "Learning"],
    ["vxlan", { DirectRouting: "yes" }, "DirectRouting"],
    ["ipip", { DirectRouting: 1 }, "DirectRouting"],
    ["wireguard", { ListenPort: 65_536 }, "ListenPort"],
    ["wireguard", { ListenPortV6: 0 }, "ListenPortV6"],
    ["wireguard", { PSK: "short" }, "PSK"],
    ["wireguard", { PersistentKeepaliveInterval: "25s" }, "PersistentKeepaliveInterval"],
    ["wireguard", { Mode: "both" }, "Mode"],
    ["ipsec", {}, "PSK"],
    ["ipsec", { PSK: "s".repeat(95) }, "PSK"],
    ["ipsec", { PSK: secret, UDPEncap: 1 }, "UDPEncap"],
    ["extension", { SubnetAddCommand: ["a"] }, "SubnetAddCommand"],
    ["tencent-vpc", { AccessKeyID: 1 }, "AccessKeyID"],
  ])("parseBackendOptions() rejects %s with %j", (type, options, key) => {
    expect(() => parseBackendOptions(config(type, options), type)).toThrow(
      expect.objectContaining({ code: "ERR_NETWORK_CONFIG", key: `Backend.${key}` }),
    );
  });

  test("parseBackendOptions() keeps a secret out of the message when it is wrong", () => {
    const wrong = config("wireguard", { PSK: "hunter2" });
    expect(() => parseBackendOptions(wrong, "wireguard")).toThrow(
      "Cannot parse network config: Backend.PSK is wrong, expected 32 bytes in base64",
    );
  });

  test("parseBackendOptions() rejects a config that is for another backend", () => {
    expect(() => parseBackendOptions(config("vxlan", {}), "udp")).toThrow(ConfigError);
  });

  test("parseBackendOptions() gives flannel's defaults when there is no Backend at all", () => {
    expect(parseBackendOptions(parseNetworkConfig(`{"Network":"10.3.0.0/16"}`), "udp")).toEqual({
      port: 8285,
    });
  });
});

function config(type: string, options: object): ReturnType<typeof parseNetworkConfig> {
  return parseNetworkConfig(JSON.stringify({ Network: "10.3.0.0/16", Backend: { Type: type, ...options } }));
}
