import type { FirewallRule } from "./firewall-plan.ts";
import type { FirewallRules } from "./firewall-rules.ts";
import { belongsTo, forwardAccepts } from "./plan-firewall.ts";
import { DOCKER_USER, type ForwardChain, markOf } from "./read-ruleset.ts";

/** A chain of somebody else's that drops forwarded packets, and the accepts of ours against that. */
export interface ForwardAccepts {
  /** The chain that drops. */
  readonly dropping: ForwardChain;
  /** Where the rules go: DOCKER-USER when the chain jumps there, else the chain itself. */
  readonly into: ForwardChain;
  /** In order; none when the chain sees no packets of our families. */
  readonly rules: readonly FirewallRule[];
}

/**
 * Computes the accepts that chains of others need: an accept in our own chain does not keep another chain on the same hook from
 * dropping the packet.
 *
 * @param rules What the firewall should do.
 * @param table Name of our table, which marks the rules.
 * @param chains Chains of others.
 */
export function planForwardAccepts(
  rules: FirewallRules,
  table: string,
  chains: readonly ForwardChain[],
): ForwardAccepts[] {
  if (!rules.forward) return [];
  return chains
    .filter(({ drops }) => drops)
    .map((dropping) => ({
      dropping,
      into: dockerUser(dropping, chains) ?? dropping,
      rules: rules.networks
        .filter(({ network }) => belongsTo(dropping.family, network))
        .flatMap(({ network }) => forwardAccepts(dropping.family, network))
        .map((expressions) => ({ expressions, comment: markOf(table) })),
    }))
    .filter((accepts) => accepts.rules.length > 0);
}

function dockerUser(dropping: ForwardChain, chains: readonly ForwardChain[]): ForwardChain | undefined {
  if (!dropping.jumps.has(DOCKER_USER)) return undefined;
  return chains.find(
    ({ family, table, chain }) =>
      family === dropping.family && table === dropping.table && chain === DOCKER_USER,
  );
}
