import type { FirewallBase, FirewallChain, FirewallPlan, FirewallTable } from "./firewall-plan.ts";
import { formatRule } from "./format-rule.ts";

/**
 * Writes tables in the language of `nft`, as `nft list table` prints them; `nft -f` takes the text.
 *
 * @param plan What {@link planFirewall} made.
 * @returns Lines that end in a newline; empty when there are no tables.
 */
export function formatFirewall(plan: FirewallPlan): string {
  return plan.tables.map(formatTable).join("\n");
}

/** One table, of which there may be only a part. */
export function formatTable({ family, name, dormant, chains }: FirewallTable): string {
  const flags = dormant ? ["\tflags dormant"] : [];
  const body = chains.map((chain) => formatChain(chain, family).join("\n")).join("\n\n");
  return [`table ${family} ${name} {`, ...flags, ...(body === "" ? [] : [body]), "}", ""].join("\n");
}

function formatChain({ name, base, rules }: FirewallChain, family: FirewallTable["family"]): string[] {
  return [
    `\tchain ${name} {`,
    ...(base ? [`\t\t${formatBase(base)}`] : []),
    ...rules.map((rule) => `\t\t${formatRule(family, rule)}`),
    "\t}",
  ];
}

function formatBase({ type, hook, priority, policy }: FirewallBase): string {
  return `type ${type} hook ${HOOKS[hook] ?? hook} priority ${formatPriority(type, priority)}; policy ${policy};`;
}

function formatPriority(type: string, priority: number): string {
  if (priority === 0) return "filter";
  return priority === 100 && type === "nat" ? "srcnat" : String(priority);
}

/** By number (NF_INET_*). */
const HOOKS: readonly string[] = ["prerouting", "input", "forward", "output", "postrouting"];
