import { backendOption } from "./backend-option.ts";
import type { BackendOptionsByType, BackendType } from "./backend-options.ts";
import { ConfigError } from "./config-error.ts";
import type { NetworkConfig } from "./network-config.ts";

/**
 * Reads the `Backend` object of a config for one backend type: flannel's keys in any case, and its defaults. Values out
 * of range are errors here, where flannel hands them to the kernel. Unknown keys are ignored.
 *
 * @param config - The network config; its backend type must be this one.
 * @param type - The backend type.
 * @returns The options with their defaults filled in.
 * @throws {ConfigError} `ERR_NETWORK_CONFIG` if a value has the wrong type or is out of range, or the config is for
 * another backend; `key` names it. A secret is never part of the message.
 *
 * @example The port of the UDP backend
 * ```ts
 * import { parseBackendOptions, parseNetworkConfig } from "@loden/subnet";
 * import assert from "node:assert/strict";
 *
 * const config = parseNetworkConfig(`{ "Network": "10.5.0.0/16", "Backend": { "Type": "udp", "port": 7890 } }`);
 * assert.deepEqual(parseBackendOptions(config, "udp"), { port: 7890 });
 * ```
 */
export function parseBackendOptions<T extends BackendType>(
  config: Pick<NetworkConfig, "backend">,
  type: T,
): BackendOptionsByType[T] {
  if (config.backend.type !== type) {
    throw new ConfigError("Backend.Type", `is ${JSON.stringify(config.backend.type)}, expected "${type}"`);
  }
  const rules: Readonly<Record<string, Rule<unknown>>> = table[type];
  const options = Object.entries(rules).map(([name, rule]) => [name, readOption(config, rule)]);
  return Object.fromEntries(options) as BackendOptionsByType[T];
}

/** How one key is read. */
interface Rule<V> {
  readonly key: string;
  /** The value when the key is absent or null; `undefined` makes the key required. */
  readonly fallback: V | undefined;
  readonly accepts: (value: unknown) => boolean;
  readonly expected: string;
  readonly secret?: true;
}

const table: {
  readonly [T in BackendType]: {
    readonly [K in keyof BackendOptionsByType[T]]: Rule<BackendOptionsByType[T][K]>;
  };
} = {
  udp: { port: integer("Port", 8285, 1, 65_535) },
  vxlan: {
    vni: integer("VNI", 1, 0, 2 ** 24 - 1),
    port: integer("Port", 0, 0, 65_535),
    mtu: integer("MTU", 0, 0, 65_535),
    gbp: boolean("GBP"),
    learning: boolean("Learning"),
    directRouting: boolean("DirectRouting"),
  },
  "host-gw": {},
  ipip: { directRouting: boolean("DirectRouting") },
  wireguard: {
    listenPort: integer("ListenPort", 51_820, 1, 65_535),
    listenPortV6: integer("ListenPortV6", 51_821, 1, 65_535),
    mtu: integer("MTU", 0, 0, 65_535),
    psk: { ...text("PSK", "", /^([A-Za-z0-9+/]{43}=)?$/, "32 bytes in base64"), secret: true },
    persistentKeepaliveInterval: integer("PersistentKeepaliveInterval", 0, 0, 65_535),
    mode: text("Mode", "separate", /^(separate|auto|ipv4|ipv6)$/, '"separate", "auto", "ipv4" or "ipv6"'),
  },
  ipsec: {
    udpEncap: boolean("UDPEncap"),
    espProposal: text("ESPProposal", "aes128gcm16-sha256-prfsha256-ecp256", /./, "algorithms"),
    psk: { ...text("PSK", undefined, /^.{96,}$/s, "at least 96 characters"), secret: true },
  },
  extension: {
    preStartupCommand: text("PreStartupCommand"),
    postStartupCommand: text("PostStartupCommand"),
    subnetAddCommand: text("SubnetAddCommand"),
    subnetRemoveCommand: text("SubnetRemoveCommand"),
  },
  alloc: {},
  "tencent-vpc": {
    accessKeyId: text("AccessKeyID"),
    accessKeySecret: { ...text("AccessKeySecret"), secret: true },
  },
};

function integer(key: string, fallback: number, least: number, most: number): Rule<number> {
  const accepts = (value: unknown): boolean =>
    Number.isInteger(value) && Number(value) >= least && Number(value) <= most;
  return { key, fallback, accepts, expected: `a whole number from ${least} to ${most}` };
}

function boolean(key: string): Rule<boolean> {
  return { key, fallback: false, accepts: (value) => typeof value === "boolean", expected: "true or false" };
}

function text<V extends string = string>(
  key: string,
  fallback: V | undefined = "" as V,
  pattern = /^/,
  expected = "text",
): Rule<V> {
  return { key, fallback, accepts: (value) => typeof value === "string" && pattern.test(value), expected };
}

function readOption(config: Pick<NetworkConfig, "backend">, rule: Rule<unknown>): unknown {
  const value = backendOption(config, rule.key) ?? rule.fallback;
  if (rule.accepts(value)) return value;
  const problem =
    value === undefined ? "is absent" : `is ${rule.secret === true ? "wrong" : JSON.stringify(value)}`;
  throw new ConfigError(`Backend.${rule.key}`, `${problem}, expected ${rule.expected}`);
}
