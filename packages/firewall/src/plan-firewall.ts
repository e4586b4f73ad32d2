import { type AddressFamily, parsePrefix, type Prefix } from "@loden/ip";
import { type NftExpression, NftHook, type NftVerdict } from "@loden/netlink";
import type {
  FirewallChain,
  FirewallFamily,
  FirewallPlan,
  FirewallRule,
  FirewallTable,
} from "./firewall-plan.ts";
import type { FirewallNetwork, FirewallRules, MasqueradeRules } from "./firewall-rules.ts";
import { matchMark, matchPrefixes, type PrefixMatch } from "./match-prefixes.ts";
import { checkForgery, planForgery } from "./plan-forgery.ts";

/** Options of {@link planFirewall}. */
export interface PlanFirewallOptions {
  /** Name of the table. Default `loden`. */
  readonly table?: string | undefined;
  /** Whether the kernel has NAT in tables of family inet (Linux 5.2); if not, tables ip and ip6 are planned. Default true. */
  readonly inet?: boolean | undefined;
  /** Whether the kernel can choose source ports fully at random. Default true. */
  readonly fullyRandom?: boolean | undefined;
}

/** Packets with this mark have been, or will be, masqueraded by Kubernetes: its own rules are left to it. */
const FOREIGN_MARK = 0x4000;

/** NF_NAT_RANGE_PROTO_RANDOM_FULLY */
const FULLY_RANDOM = 0x10;

const MULTICAST: Readonly<Record<AddressFamily, Prefix>> = {
  4: parsePrefix("224.0.0.0/4"),
  6: parsePrefix("ff00::/8"),
};

/**
 * Computes the table for a firewall's rules: those of flannel's iptables mode, and nothing of the system is asked.
 * With network N and subnet P, in this order:
 * - marked `0x4000`: left alone
 * - from P to N, from N to P, from outside N to P: left alone
 * - from N to an excepted destination: left alone
 * - from N to anything but multicast: masqueraded
 * - from outside N to N, as from this host: masqueraded
 * - forwarded to a port of encapsulated packets outside N, but not from a link between hosts: dropped
 * - forwarded from N, or to N: accepted
 * - from N to this host's port of encapsulated packets: dropped
 *
 * @param rules What the firewall should do.
 * @param options Name of the table, and what the kernel can.
 * @returns The table: see it with {@link formatFirewall}.
 * @throws {RangeError} A subnet lies outside its network, a network is everything (`/0`), a port or a link is none, or the name is no
 * name of a table.
 */
export function planFirewall(rules: FirewallRules, options: PlanFirewallOptions = {}): FirewallPlan {
  const { table = "loden", inet = true, fullyRandom = true } = options;
  checkTable(table);
  for (const network of rules.networks) checkNetwork(network);
  if (rules.forgery) checkForgery(rules.forgery);
  const families: readonly FirewallFamily[] = inet ? ["inet"] : ["ip", "ip6"];
  return {
    tables: families
      .map((family) => planTable({ family, name: table }, rules, fullyRandom))
      .filter(({ chains }) => chains.length > 0),
  };
}

/**
 * The two accepts of a network, in the order in which they stand.
 *
 * @param family Family of the table that they go to.
 */
export function forwardAccepts(family: FirewallFamily, network: Prefix): NftExpression[][] {
  return [
    rule(family, "accept", [{ field: "source", prefix: network }]),
    rule(family, "accept", [{ field: "destination", prefix: network }]),
  ];
}

/** True when packets of the prefix's family come by in tables of that family. */
export function belongsTo(family: FirewallFamily, prefix: Prefix): boolean {
  return family === "inet" || (family === "ip") === (prefix.family === 4);
}

/** Checks a table's name: `nft` must be able to read it back. */
export function checkTable(name: string): void {
  if (!/^[A-Za-z_][\w.-]{0,63}$/.test(name))
    throw new RangeError(
      `Cannot name a firewall's table: it is "${name}", expected a letter or "_", then at most 63 letters, digits, "_", "." and "-"`,
    );
}

function checkNetwork({ network, subnet }: FirewallNetwork): void {
  if (network.length === 0)
    throw new RangeError(
      `Cannot plan firewall: the network is ${network.toString()}, expected less than all addresses`,
    );
  if (!network.contains(subnet))
    throw new RangeError(
      `Cannot plan firewall: subnet ${subnet.toString()} lies outside of network ${network.toString()}, expected it inside`,
    );
}

function planTable(
  { family, name }: Pick<FirewallTable, "family" | "name">,
  { networks: all, masquerade, forward, forgery }: FirewallRules,
  fullyRandom: boolean,
): FirewallTable {
  const networks = all.filter(({ network }) => belongsTo(family, network));
  // Hosts may reach each other by the other family than the network's.
  const forged = forgery && all.length > 0 ? planForgery(family, networks, forgery) : undefined;
  const accepts = forward ? networks.flatMap(({ network }) => forwardAccepts(family, network)) : [];
  const chains: FirewallChain[] = [
    {
      name: "postrouting",
      base: { type: "nat", hook: NftHook.postrouting, priority: 100, policy: "accept" },
      rules: masquerade ? planMasquerade(family, networks, masquerade, fullyRandom) : [],
    },
    ...(forged?.chains ?? []),
    {
      name: "forward",
      base: { type: "filter", hook: NftHook.forward, priority: 0, policy: "accept" },
      rules: [...(forged?.forward ?? []), ...accepts].map(asRule),
    },
  ];
  return { family, name, chains: chains.filter(({ rules }) => rules.length > 0) };
}

function planMasquerade(
  family: FirewallFamily,
  networks: readonly FirewallNetwork[],
  { randomFully = true, except = [] }: MasqueradeRules,
  fullyRandom: boolean,
): FirewallRule[] {
  if (networks.length === 0) return [];
  const masquerade: NftExpression = {
    kind: "masquerade",
    flags: randomFully && fullyRandom ? FULLY_RANDOM : 0,
  };
  return [
    [...matchMark(FOREIGN_MARK), { kind: "verdict", verdict: "return" } as const],
    ...networks.flatMap(({ network, subnet }) => {
      const excepted = except.filter((prefix) => prefix.family === network.family);
      const fromNetwork = { field: "source", prefix: network } as const;
      const toSubnet = { field: "destination", prefix: subnet } as const;
      const toNetwork = { field: "destination", prefix: network } as const;
      const notMulticast = { field: "destination", prefix: MULTICAST[network.family], not: true } as const;
      return [
        rule(family, "return", [{ field: "source", prefix: subnet }, toNetwork]),
        rule(family, "return", [fromNetwork, toSubnet]),
        rule(family, "return", [{ ...fromNetwork, not: true }, toSubnet]),
        ...excepted.map((prefix) => rule(family, "return", [fromNetwork, { field: "destination", prefix }])),
        [...matchPrefixes(family, [fromNetwork, notMulticast]), masquerade],
        [...matchPrefixes(family, [{ ...fromNetwork, not: true }, toNetwork]), masquerade],
      ];
    }),
  ].map(asRule);
}

function rule(
  family: FirewallFamily,
  verdict: NftVerdict["verdict"],
  matches: readonly PrefixMatch[],
): NftExpression[] {
  return [...matchPrefixes(family, matches), { kind: "verdict", verdict }];
}

function asRule(expressions: readonly NftExpression[]): FirewallRule {
  return { expressions };
}
