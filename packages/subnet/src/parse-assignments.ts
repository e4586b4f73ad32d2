import { parseAddress, parsePrefix, type Prefix } from "@loden/ip";
import { ConfigError } from "./config-error.ts";
import { isUsable } from "./is-usable.ts";
import { jsonMembers } from "./json-members.ts";
import type { NetworkConfig } from "./network-config.ts";
import { shorten } from "./shorten.ts";
import { type Subnet, subnetsOverlap } from "./subnet.ts";

/**
 * Reads `Loden.Assignments`: which subnets are for which hosts alone.
 *
 * @param source - JSON text of the `Loden` member; unknown members are ignored, as flannel ignores the whole.
 * @param config - The rest of the config, which each subnet has to fit.
 * @returns Subnet by host, in the form of `assignmentKey`; `undefined` when nothing is assigned.
 * @throws {ConfigError} `ERR_NETWORK_CONFIG` if a host or subnet cannot be read, a subnet does not fit, or two overlap.
 */
export function parseAssignments(
  source: string,
  config: NetworkConfig,
): ReadonlyMap<string, Subnet> | undefined {
  const assignments = findMember(readObject("Loden", source), "assignments");
  if (assignments === undefined || assignments === "null") return undefined;
  const found = new Map<string, Subnet>();
  for (const { name, source: text } of readObject("Loden.Assignments", assignments)) {
    const key = `Loden.Assignments.${name}`;
    const host = assignmentKey(name);
    if (host === "") throw new ConfigError(key, "names no host, expected a public address or a host name");
    if (found.has(host)) throw new ConfigError(key, "names a host twice, expected one subnet per host");
    const subnet = readSubnet(key, text, config);
    for (const [other, taken] of found) {
      if (!subnetsOverlap(subnet, taken)) continue;
      throw new ConfigError(
        key,
        `is ${shorten(text)}, which overlaps that of "${other}", expected another subnet`,
      );
    }
    found.set(host, subnet);
  }
  return found.size === 0 ? undefined : found;
}

/**
 * One form for each host, however it is written: an address as `parseAddress` writes it, a name in lower case.
 *
 * @param name - A public address or a host name.
 * @returns The key of the host among the assignments; empty for a text that is neither.
 */
export function assignmentKey(name: string): string {
  try {
    return parseAddress(name).toString();
  } catch {
    return /^[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?$/i.test(name) ? name.toLowerCase() : "";
  }
}

type Members = ReturnType<typeof jsonMembers>;

function readObject(key: string, source: string): Members {
  if (source === "null") return [];
  if (!source.startsWith("{")) throw new ConfigError(key, `is ${shorten(source)}, expected an object`);
  return jsonMembers(source);
}

function findMember(members: Members, name: string): string | undefined {
  return members.findLast((member) => member.name.toLowerCase() === name)?.source;
}

function readSubnet(key: string, source: string, config: NetworkConfig): Subnet {
  const value: unknown = JSON.parse(source);
  const families = [config.ipv4 && "IPv4", config.ipv6 && "IPv6"].filter((family) => family !== undefined);
  const expected = `expected ${families.join(" and ")} subnet of the network, such as "${exampleOf(config)}"`;
  if (typeof value !== "string") throw new ConfigError(key, `is ${shorten(source)}, ${expected}`);
  let prefixes: Prefix[];
  try {
    prefixes = value.split(" ").map((text) => parsePrefix(text, { strict: true }));
  } catch (cause) {
    throw new ConfigError(key, `is ${shorten(source)}, ${expected}`, { cause });
  }
  const ipv4 = prefixes.find(({ family }) => family === 4);
  const ipv6 = prefixes.find(({ family }) => family === 6);
  const subnet: Subnet = { ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) };
  const isComplete = prefixes.length === families.length && isUsable(config, subnet);
  if (!isComplete) throw new ConfigError(key, `is ${shorten(source)}, ${expected}`);
  return subnet;
}

function exampleOf({ ipv4, ipv6 }: NetworkConfig): string {
  return [ipv4, ipv6]
    .flatMap((family) =>
      family === undefined ? [] : `${family.subnetMin.toString()}/${family.subnetLength}`,
    )
    .join(" ");
}
