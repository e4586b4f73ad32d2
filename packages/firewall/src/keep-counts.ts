import type { FirewallChain, FirewallRule, FirewallTable } from "./firewall-plan.ts";
import { sameRule } from "./same-table.ts";

/**
 * Lets the rules of a table go on counting from where the same rules in its place are.
 *
 * @param table As planned: its counters are at zero.
 * @param current The tables that are there.
 */
export function keepCounts(table: FirewallTable, current: readonly FirewallTable[]): FirewallTable {
  const present = current.find(({ family, name }) => family === table.family && name === table.name);
  if (!present) return table;
  const rulesOf = ({ name }: FirewallChain): readonly FirewallRule[] =>
    present.chains.find((chain) => chain.name === name)?.rules.filter(counts) ?? [];
  return {
    ...table,
    chains: table.chains.map((chain) => {
      const counted = rulesOf(chain);
      const keep = (rule: FirewallRule): FirewallRule =>
        counts(rule) ? (counted.find((one) => sameRule(one, rule)) ?? rule) : rule;
      return { ...chain, rules: chain.rules.map(keep) };
    }),
  };
}

function counts({ expressions }: FirewallRule): boolean {
  return expressions.some(({ kind }) => kind === "counter");
}
