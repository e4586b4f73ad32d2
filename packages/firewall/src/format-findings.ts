import type { FirewallEvent } from "./firewall-events.ts";
import type { FirewallPlan } from "./firewall-plan.ts";
import { formatFirewall } from "./format-firewall.ts";
import { formatRule } from "./format-rule.ts";
import type { ForwardAccepts } from "./plan-forward-accepts.ts";
import type { ForwardChain, Ruleset } from "./read-ruleset.ts";

/** What is to be said of chains of others, given the accepts that they need. */
export function findingsOf(accepts: readonly ForwardAccepts[], legacy: readonly string[]): FirewallEvent[] {
  return [
    ...accepts.map(({ dropping, into, rules }): FirewallEvent =>
      into.locked
        ? { type: "locked", chain: nameOf(dropping) }
        : {
            type: "accepted",
            chain: nameOf(dropping),
            into: nameOf(into),
            rules: rules.map((rule) => formatRule(into.family, rule)),
          },
    ),
    ...(legacy.length > 0 ? [{ type: "unseen", tables: legacy } as const] : []),
  ];
}

/** The lines of {@link Firewall.explain}, as a shell takes them. */
export function formatAccepts(accepts: readonly ForwardAccepts[]): string[] {
  return accepts.flatMap(({ dropping, into, rules }) => [
    `# chain ${nameOf(dropping)} drops forwarded packets${into.locked ? ", and its owner lets nobody change it" : ""}`,
    // Each goes before the others, so the last one comes first.
    ...(into.locked ? [] : rules.toReversed()).map(
      (rule) => `nft 'insert rule ${nameOf(into)} ${formatRule(into.family, rule)}'`,
    ),
  ]);
}

/** The lines of {@link Firewall.list}. */
export function formatRuleset({ own, forward }: Ruleset, legacy: readonly string[]): string[] {
  const inserted: FirewallPlan = {
    tables: forward
      .filter(({ ours }) => ours.length > 0)
      .map(({ family, table, chain, ours }) => ({
        family,
        name: table,
        chains: [{ name: chain, rules: ours }],
      })),
  };
  const notes = [
    ...forward.flatMap((chain) => (chain.drops ? [dropNote(chain, forward)] : [])),
    ...(legacy.length > 0
      ? [`# iptables-legacy has tables here (${legacy.join(", ")}), whose rules nftables cannot see`]
      : []),
  ];
  if (own.length === 0 && inserted.tables.length === 0) return [];
  return [
    ...linesOf(formatFirewall({ tables: own })),
    ...(inserted.tables.length > 0 ? ["# rules of ours in chains of others:"] : []),
    ...linesOf(formatFirewall(inserted)),
    ...notes,
  ];
}

function dropNote(chain: ForwardChain, all: readonly ForwardChain[]): string {
  const accepting = all.find(
    ({ family, table, chain: name, ours }) =>
      family === chain.family &&
      table === chain.table &&
      ours.length > 0 &&
      (name === chain.chain || chain.jumps.has(name)),
  );
  const what = `# chain ${nameOf(chain)} drops forwarded packets`;
  if (accepting) return `${what}, but for those that our rules in ${accepting.chain} accept`;
  return `${what}, and there is no rule of ours against that`;
}

function nameOf({ family, table, chain }: ForwardChain): string {
  return `${family} ${table} ${chain}`;
}

function linesOf(text: string): string[] {
  return text.split("\n").slice(0, -1);
}
