import { type AddressFamily, parsePrefix, type Prefix } from "@loden/ip";
import type { NetworkConfig } from "./network-config.ts";
import type { Subnet } from "./subnet.ts";

/** What a `subnet.env` file says. */
export interface SubnetEnv {
  /** The IPv4 networks, in order; usually one. */
  readonly networks: readonly Prefix[];
  /** The IPv6 networks, in order; usually one. */
  readonly ipv6Networks: readonly Prefix[];
  /** The subnet of the host. A family that is absent, broken or ambiguous is left out. */
  readonly subnet: Subnet;
  /** The MTU for containers, in bytes; `undefined` when absent or broken. */
  readonly mtu: number | undefined;
  /** Whether flannel masquerades, so that the container runtime must not; `undefined` when absent or broken. */
  readonly ipMasq: boolean | undefined;
}

/**
 * Writes the text of `subnet.env`, the file by which container runtimes and CNI plugins learn their part of the network,
 * byte for byte as flannel does. `FLANNEL_SUBNET` is the first host address with the subnet's length: the bridge address.
 *
 * @param env - The network config, the host's subnet, the MTU for containers in bytes, and whether masquerading is done.
 * @returns The text, lines ended by LF.
 * @throws {TypeError} If the subnet lacks a family that the config enables.
 *
 * @example The file of a host
 * ```ts
 * import { parsePrefix } from "@loden/ip";
 * import { formatSubnetEnv, parseNetworkConfig } from "@loden/subnet";
 * import assert from "node:assert/strict";
 *
 * const config = parseNetworkConfig(`{ "Network": "10.42.0.0/16" }`);
 * const subnet = { ipv4: parsePrefix("10.42.3.0/24") };
 * assert.equal(
 *   formatSubnetEnv({ config, subnet, mtu: 1472, ipMasq: true }),
 *   "FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.3.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=true\n",
 * );
 * ```
 */
export function formatSubnetEnv(env: {
  readonly config: NetworkConfig;
  readonly subnet: Subnet;
  readonly mtu: number;
  readonly ipMasq: boolean;
}): string {
  const { config, subnet } = env;
  const lines: string[] = [];
  if (config.ipv4 !== undefined) lines.push(...formatFamily("", config.ipv4.network, subnet.ipv4));
  if (config.ipv6 !== undefined) lines.push(...formatFamily("IPV6_", config.ipv6.network, subnet.ipv6));
  lines.push(`FLANNEL_MTU=${env.mtu}`, `FLANNEL_IPMASQ=${env.ipMasq}`);
  return lines.map((line) => `${line}\n`).join("");
}

function formatFamily(infix: "" | "IPV6_", network: Prefix, subnet: Prefix | undefined): string[] {
  if (subnet === undefined) {
    const family = `IPv${network.family}`;
    throw new TypeError(
      `Cannot format subnet.env: the subnet has no ${family} part, expected one in ${network.toString()}`,
    );
  }
  const bridge = `${subnet.address.plus(1).toString()}/${subnet.length}`;
  return [`FLANNEL_${infix}NETWORK=${network.toString()}`, `FLANNEL_${infix}SUBNET=${bridge}`];
}

/**
 * Reads the text of `subnet.env`, whoever wrote it. Quotes, `export`, comments and lists with commas are taken as flannel
 * takes them; what cannot be read is left out, never an error, since the file only says what to prefer. The subnets lose
 * their host bits.
 *
 * @param text - The text of the file.
 * @returns What the file says.
 */
export function parseSubnetEnv(text: string): SubnetEnv {
  const values = readAssignments(text);
  const ipv4 = onlyOne(readPrefixes(values.get("FLANNEL_SUBNET"), 4));
  const ipv6 = onlyOne(readPrefixes(values.get("FLANNEL_IPV6_SUBNET"), 6));
  const mtu = values.get("FLANNEL_MTU");
  const ipMasq = values.get("FLANNEL_IPMASQ");
  return {
    networks: readPrefixes(values.get("FLANNEL_NETWORK"), 4),
    ipv6Networks: readPrefixes(values.get("FLANNEL_IPV6_NETWORK"), 6),
    subnet: { ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) },
    mtu: mtu !== undefined && /^[1-9][0-9]{0,8}$/.test(mtu) ? Number(mtu) : undefined,
    ipMasq: ipMasq === "true" || ipMasq === "false" ? ipMasq === "true" : undefined,
  };
}

/** The assignments of a dotenv text; the last of a name wins. */
function readAssignments(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const found = assignment.exec(line)?.groups;
    if (found === undefined) continue;
    values.set(found["name"] ?? "", (found["quoted"] ?? found["single"] ?? found["bare"] ?? "").trim());
  }
  return values;
}

const assignment =
  /^\s*(?:export\s+)?(?<name>\w+)\s*[=:]\s*(?:"(?<quoted>[^"]*)"|'(?<single>[^']*)'|(?<bare>[^#]*?))\s*(?:#.*)?$/;

function readPrefixes(text: string | undefined, family: AddressFamily): Prefix[] {
  return (text ?? "").split(",").flatMap((part) => {
    try {
      return [parsePrefix(part.trim(), { family })];
    } catch {
      return [];
    }
  });
}

/** Of several there is no telling which is meant. */
function onlyOne(prefixes: readonly Prefix[]): Prefix | undefined {
  return prefixes.length === 1 ? prefixes[0] : undefined;
}
