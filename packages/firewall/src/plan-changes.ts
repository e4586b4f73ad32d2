import {
  encodeNftChain,
  encodeNftComment,
  encodeNftRule,
  encodeNftTable,
  MessageFlag,
  NftFamily,
  NftMessageType,
} from "@loden/netlink";
import type { FirewallChain, FirewallPlan, FirewallRule, FirewallTable } from "./firewall-plan.ts";
import { keepCounts } from "./keep-counts.ts";
import type { NftRequest } from "./nftables-connection.ts";
import type { ForwardAccepts } from "./plan-forward-accepts.ts";
import type { ForwardChain, Ruleset } from "./read-ruleset.ts";
import { sameRules, sameTable } from "./same-table.ts";

/**
 * Computes the changes that make the ruleset hold our tables and accepts and nothing else of ours.
 *
 * @param plan Our tables.
 * @param accepts Our rules in chains of others.
 * @param current What is there.
 * @returns In the order in which they are to be sent as one transaction; none when all is as it should be.
 */
export function planChanges(
  plan: FirewallPlan,
  accepts: readonly ForwardAccepts[],
  current: Ruleset,
): NftRequest[] {
  const right = (table: FirewallTable, tables: readonly FirewallTable[]): boolean =>
    tables.some((other) => sameTable(table, other));
  return [
    ...current.own.filter((table) => !right(table, plan.tables)).map(deleteTable),
    ...plan.tables
      .filter((table) => !right(table, current.own))
      .flatMap((table) => addTable(keepCounts(table, current.own))),
    ...current.forward.filter(({ locked }) => !locked).flatMap((chain) => changeChain(chain, accepts)),
  ];
}

function deleteTable({ family, name }: FirewallTable): NftRequest {
  return {
    type: NftMessageType.deleteTable,
    payload: encodeNftTable({ family: NftFamily[family], name }),
    attempt: () => `delete table ${family} ${name}`,
  };
}

function addTable(table: FirewallTable): NftRequest[] {
  const { family, name } = table;
  return [
    {
      type: NftMessageType.newTable,
      flags: MessageFlag.create,
      payload: encodeNftTable({ family: NftFamily[family], name, flags: 0 }),
      attempt: () => `add table ${family} ${name}`,
      ...(family === "inet" && { needs: "inet nat" }),
    },
    ...table.chains.flatMap((chain) => addChain(table, chain)),
  ];
}

function addChain(
  { family, name: table }: FirewallTable,
  { name, base, rules }: FirewallChain,
): NftRequest[] {
  const at = { family: NftFamily[family], table };
  return [
    {
      type: NftMessageType.newChain,
      flags: MessageFlag.create,
      payload: encodeNftChain({
        ...at,
        name,
        ...(base && {
          type: base.type,
          hook: { number: base.hook, priority: base.priority },
          policy: base.policy,
        }),
      }),
      attempt: () => `add chain ${family} ${table} ${name}`,
      ...(family === "inet" && base?.type === "nat" && { needs: "inet nat" }),
    },
    ...rules.map((rule): NftRequest => ({
      type: NftMessageType.newRule,
      flags: MessageFlag.create | MessageFlag.append,
      payload: encodeRule({ ...at, chain: name }, rule),
      attempt: () => `add a rule to chain ${family} ${table} ${name}`,
      ...(rule.expressions.some((one) => one.kind === "masquerade" && one.flags !== 0) && {
        needs: "fully-random",
      }),
    })),
  ];
}

/** Makes the rules of ours in a chain of somebody else's the wanted ones, at its head. */
function changeChain(chain: ForwardChain, accepts: readonly ForwardAccepts[]): NftRequest[] {
  const wanted = accepts.find(({ into }) => into === chain)?.rules ?? [];
  if (sameRules(wanted, chain.ours)) return [];
  const at = { family: NftFamily[chain.family], table: chain.table, chain: chain.chain };
  const where = `chain ${chain.family} ${chain.table} ${chain.chain}`;
  return [
    ...chain.ours.map(({ handle }) => ({
      type: NftMessageType.deleteRule,
      payload: encodeNftRule({ ...at, handle }),
      attempt: () => `delete rule ${handle} of ${where}`,
    })),
    // Each goes to the head, so the last one first.
    ...wanted.toReversed().map((rule) => ({
      type: NftMessageType.newRule,
      flags: MessageFlag.create,
      payload: encodeRule(at, rule),
      attempt: () => `insert a rule into ${where}`,
    })),
  ];
}

function encodeRule(
  at: { readonly family: number; readonly table: string; readonly chain: string },
  { expressions, comment }: FirewallRule,
): Uint8Array {
  return encodeNftRule({
    ...at,
    expressions,
    ...(comment !== undefined && { userData: encodeNftComment(comment) }),
  });
}
