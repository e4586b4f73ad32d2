/**
 * NAT and forward rules for overlay networks through nftables, without running `nft`: say what the firewall should do, and one
 * table of its own in the kernel follows, replaced in one transaction.
 *
 * @example Reach the outside with the host's address
 * ```ts
 * import { openFirewall } from "@loden/firewall";
 * import { parsePrefix } from "@loden/ip";
 *
 * using firewall = openFirewall();
 * const networks = [{ network: parsePrefix("10.5.0.0/16"), subnet: parsePrefix("10.5.3.0/24") }];
 * await firewall.apply({ networks, masquerade: {}, forward: true });
 * for (const line of await firewall.list()) console.log(line);
 * ```
 *
 * @module
 */
export type { FirewallEvent } from "./firewall-events.ts";
export type {
  FirewallBase,
  FirewallChain,
  FirewallFamily,
  FirewallPlan,
  FirewallRule,
  FirewallTable,
} from "./firewall-plan.ts";
export type { FirewallNetwork, FirewallRules, ForgeryRules, MasqueradeRules } from "./firewall-rules.ts";
export type { Firewall, FirewallCallOptions, FirewallCounts } from "./firewall.ts";
export { formatFirewall } from "./format-firewall.ts";
export type { FirewallFeature } from "./nftables-connection.ts";
export { openFirewall, type OpenFirewallOptions } from "./open-firewall.ts";
export { planFirewall, type PlanFirewallOptions } from "./plan-firewall.ts";
