import { type Address, type AddressFamily, parseAddress, parsePrefix, type Prefix } from "@loden/ip";
import { ConfigError } from "./config-error.ts";
import { deriveFamilyNetwork } from "./derive-family-network.ts";
import { jsonMembers } from "./json-members.ts";
import type { BackendConfig, NetworkConfig } from "./network-config.ts";
import { parseAssignments } from "./parse-assignments.ts";
import { shorten } from "./shorten.ts";

/**
 * Reads a network config, the JSON text that flannel keeps under `<prefix>/config`: same keys, defaults and derivations.
 * Keys match in any case, unknown keys are ignored, and of duplicates the last wins.
 *
 * Three things that flannel lets through are errors here: `SubnetMin` above `SubnetMax`, an IPv4 network as
 * `IPv6Network`, and both families disabled; and a `Backend` without `Type` is an error at once, not at start.
 *
 * One key is Loden's own: `"Loden": { "Assignments": { "192.0.2.7": "10.5.7.0/24", "host-a": "10.5.8.0/24" } }` keeps a
 * subnet for a host, by its public address or its host name. In a dual-stack network the text holds both subnets with a
 * space between. flannel hosts ignore it, so leave room for them outside of it.
 *
 * @param text - JSON text of an object.
 * @returns The config with its defaults filled in.
 * @throws {SyntaxError} If the text is not JSON.
 * @throws {ConfigError} `ERR_NETWORK_CONFIG` if a value has the wrong type or contradicts another; `key` names it.
 *
 * @example Derived values
 * ```ts
 * import { parseNetworkConfig } from "@loden/subnet";
 * import assert from "node:assert/strict";
 *
 * const config = parseNetworkConfig(`{ "Network": "10.3.0.0/16" }`);
 * assert.equal(config.ipv4?.subnetLength, 24);
 * assert.equal(`${config.ipv4.subnetMin} ${config.ipv4.subnetMax}`, "10.3.1.0 10.3.255.0");
 * assert.equal(config.backend.type, "udp");
 * ```
 */
export function parseNetworkConfig(text: string): NetworkConfig {
  const values = readValues(text);
  const enableIPv4 = readBoolean(values, "EnableIPv4", true);
  const enableIPv6 = readBoolean(values, "EnableIPv6", false);
  const enableNFTables = readBoolean(values, "EnableNFTables", false);
  const ipv4 = readFamily(values, 4, "");
  const ipv6 = readFamily(values, 6, "IPv6");
  const backend = readBackend(values);
  if (!enableIPv4 && !enableIPv6) {
    throw new ConfigError("EnableIPv4", "is false and EnableIPv6 is not true, expected at least one family");
  }
  const config: NetworkConfig = {
    enableIPv4,
    enableIPv6,
    enableNFTables,
    ipv4: enableIPv4 ? deriveFamilyNetwork(ipv4) : undefined,
    ipv6: enableIPv6 ? deriveFamilyNetwork(ipv6) : undefined,
    backend,
  };
  const assignments = parseAssignments(values.get("loden") ?? "null", config);
  return assignments === undefined ? config : { ...config, assignments };
}

/** The source text of each value by lower-case key. */
type Values = ReadonlyMap<string, string>;

function readValues(text: string): Values {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SyntaxError("Cannot parse network config: the text is not JSON, expected a JSON object", {
      cause,
    });
  }
  if (!isObject(value)) throw new ConfigError("", `is ${kindOf(value)}, expected a JSON object`);
  return new Map(jsonMembers(text).map(({ name, source }) => [name.toLowerCase(), source]));
}

/** `null` leaves a default alone, as it does in Go. */
function readBoolean(values: Values, key: string, fallback: boolean): boolean {
  const source = values.get(key.toLowerCase()) ?? "null";
  if (source === "null") return fallback;
  if (source === "true" || source === "false") return source === "true";
  throw new ConfigError(key, `is ${shorten(source)}, expected true or false`);
}

function readFamily(
  values: Values,
  family: AddressFamily,
  keyPrefix: "" | "IPv6",
): Parameters<typeof deriveFamilyNetwork>[0] {
  return {
    family,
    keyPrefix,
    network: readNetwork(values, `${keyPrefix}Network`, family),
    subnetLength: readLength(values, `${keyPrefix}SubnetLen`),
    subnetMin: readAddress(values, `${keyPrefix}SubnetMin`, family),
    subnetMax: readAddress(values, `${keyPrefix}SubnetMax`, family),
  };
}

function readNetwork(values: Values, key: string, family: AddressFamily): Prefix | undefined {
  const source = values.get(key.toLowerCase());
  if (source === undefined) return undefined;
  const expected = `expected an IPv${family} network like ${family === 4 ? '"10.5.0.0/16"' : '"fd00:5::/48"'}`;
  return readText(key, source, expected, (text) => parsePrefix(text, { family }));
}

function readLength(values: Values, key: string): number | undefined {
  const source = values.get(key.toLowerCase()) ?? "null";
  if (source === "null") return undefined;
  if (!/^[0-9]+$/.test(source)) throw new ConfigError(key, `is ${shorten(source)}, expected a whole number`);
  return Number(source);
}

function readAddress(values: Values, key: string, family: AddressFamily): Address | undefined {
  const source = values.get(key.toLowerCase());
  // The IPv6 fields are pointers in flannel, and so may be null.
  if (source === undefined || (source === "null" && family === 6)) return undefined;
  return readText(key, source, `expected an IPv${family} address`, (text) => {
    // Flannel takes an IPv4-mapped IPv6 literal for an IPv4 address.
    const address = family === 4 ? parseAddress(text).unmap() : parseAddress(text);
    return parseAddress(address.toString(), { family });
  });
}

function readText<T>(key: string, source: string, expected: string, parse: (text: string) => T): T {
  const value: unknown = JSON.parse(source);
  if (typeof value !== "string") throw new ConfigError(key, `is ${shorten(source)}, ${expected}`);
  try {
    return parse(value);
  } catch (cause) {
    throw new ConfigError(key, `is ${shorten(source)}, ${expected}`, { cause });
  }
}

function readBackend(values: Values): BackendConfig {
  const source = values.get("backend");
  if (source === undefined) return { type: "udp", options: {} };
  if (!source.startsWith("{")) throw new ConfigError("Backend", `is ${shorten(source)}, expected an object`);
  const options = new Map<string, unknown>();
  for (const member of jsonMembers(source)) {
    // A duplicate moves to the end: of keys that differ in case only, the last in the object is the last in the text.
    options.delete(member.name);
    options.set(member.name, JSON.parse(member.source));
  }
  const type = [...options].findLast(([name]) => name.toLowerCase() === "type")?.[1];
  if (typeof type !== "string" || type === "") {
    const problem = type === undefined ? "is absent" : `is ${shorten(JSON.stringify(type))}`;
    throw new ConfigError("Backend.Type", `${problem}, expected the name of a backend like "udp"`);
  }
  return { type: type.toLowerCase(), options: Object.fromEntries(options) };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array" : `a ${typeof value}`;
}
