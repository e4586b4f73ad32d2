import { type NftExpression, NftHook } from "@loden/netlink";
import type { FirewallChain, FirewallFamily } from "./firewall-plan.ts";
import type { FirewallNetwork, ForgeryRules } from "./firewall-rules.ts";
import { matchDatagrams, matchNotFrom } from "./match-datagrams.ts";
import { matchPrefixes } from "./match-prefixes.ts";

/** What is planned against forged datagrams in one table. */
export interface ForgeryPlan {
  /** Chains of their own; those that others jump to come first. */
  readonly chains: readonly FirewallChain[];
  /** What packets that are forwarded meet first. */
  readonly forward: readonly (readonly NftExpression[])[];
}

/** Counts what it drops. */
const DROP: readonly NftExpression[] = [
  { kind: "counter", packets: 0n, bytes: 0n },
  { kind: "verdict", verdict: "drop" },
];
const CHAIN = "forged";

/**
 * Computes what keeps containers from passing for hosts. A datagram to a port of encapsulated packets is dropped:
 * - when it is forwarded, did not come in by a link between hosts, and does not go to a container (who may run an overlay of
 *   their own among themselves): masquerading would give it this host's address;
 * - when it is for this host and comes from the overlay: the kernel's VXLAN devices take what anybody sends.
 *
 * @param family Of the table.
 * @param networks Those whose packets come by in that table.
 * @param forgery Ports and links.
 */
export function planForgery(
  family: FirewallFamily,
  networks: readonly FirewallNetwork[],
  { ports, links }: ForgeryRules,
): ForgeryPlan {
  const toContainers = networks.map(({ network }): readonly NftExpression[] => [
    ...matchPrefixes(family, [{ field: "destination", prefix: network }]),
    { kind: "verdict", verdict: "return" },
  ]);
  const fromContainers = networks.flatMap(({ network }) =>
    ports.map((port): readonly NftExpression[] => [
      ...matchPrefixes(family, [{ field: "source", prefix: network }]),
      ...matchDatagrams(port),
      ...DROP,
    ]),
  );
  if (ports.length === 0) return { chains: [], forward: [] };
  return {
    chains: [
      { name: CHAIN, rules: [...toContainers, DROP].map((expressions) => ({ expressions })) },
      {
        name: "input",
        base: { type: "filter", hook: NftHook.input, priority: 0, policy: "accept" },
        rules: fromContainers.map((expressions) => ({ expressions })),
      },
    ],
    forward: ports.map((port) => [
      ...matchNotFrom(links),
      ...matchDatagrams(port),
      { kind: "verdict", verdict: "jump", chain: CHAIN },
    ]),
  };
}

/** Checks ports and names of links. */
export function checkForgery({ ports, links }: ForgeryRules): void {
  for (const port of ports)
    if (!Number.isInteger(port) || port < 1 || port > 0xffff)
      throw new RangeError(`Cannot plan firewall: a port is ${port}, expected 1 to 65535`);
  for (const link of links)
    // As the kernel checks names (dev_valid_name), and none that `nft` would take for a pattern or the end of the name.
    if (!/^[^\s/:"*\\]{1,15}$/.test(link) || link === "." || link === "..")
      throw new RangeError(
        `Cannot plan firewall: a link is "${link}", expected a name of at most 15 bytes without spaces, "/", ":" or wildcards`,
      );
}
