import {
  decodeAttributes,
  decodeNftChain,
  decodeNftComment,
  decodeNftRule,
  decodeNftTable,
  type NftChain,
  type NftExpression,
  NftFamily,
  NftHook,
  NftMessageType,
  type NftOther,
  type NftRule,
  type NftTable,
} from "@loden/netlink";
import type { FirewallChain, FirewallFamily, FirewallTable } from "./firewall-plan.ts";
import type { NftablesConnection } from "./nftables-connection.ts";

/** The part of a namespace's ruleset that concerns us, at one moment. */
export interface Ruleset {
  /** The number of this state. */
  readonly generation: number;
  /** Our tables: those with our name. */
  readonly own: readonly FirewallTable[];
  /** Chains of others that forwarded packets may meet. */
  readonly forward: readonly ForwardChain[];
}

/** A chain of somebody else's on the forward hook, or Docker's chain for the rules of others. */
export interface ForwardChain {
  readonly family: FirewallFamily;
  readonly table: string;
  readonly chain: string;
  /** True when it is on the hook and drops or rejects what no rule decided on: by its policy, or by a rule that takes everything. */
  readonly drops: boolean;
  /** True when its table belongs to a running program, so that nobody else can change it. */
  readonly locked: boolean;
  /** Chains that it jumps to. */
  readonly jumps: ReadonlySet<string>;
  /** Rules that carry our mark, in order. */
  readonly ours: readonly MarkedRule[];
}

/** A rule of ours among those of others. */
export interface MarkedRule {
  readonly handle: bigint;
  readonly expressions: readonly NftExpression[];
  readonly comment: string;
}

/** Docker's chain for the rules of others: it comes first, and Docker leaves its contents alone. */
export const DOCKER_USER = "DOCKER-USER";

/** How often to read again when somebody changes the ruleset in between. */
const ATTEMPTS = 10;
/** NFT_TABLE_F_DORMANT */
const DORMANT = 1;

/** The comment by which rules of ours in chains of others are known. */
export function markOf(table: string): string {
  return `loden ${table}`;
}

/**
 * Reads what concerns us. Rules are read of few chains only: ours, those on the forward hook, and DOCKER-USER.
 *
 * @param connection The namespace's ruleset.
 * @param name Name of our tables.
 */
export function readRuleset(connection: NftablesConnection, name: string): Ruleset {
  for (let attempt = 1; ; attempt++) {
    const generation = connection.generation();
    const tables = connection.dump(NftMessageType.getTable, {}, (payload) => decodeNftTable(payload.slice()));
    const chains = connection.dump(NftMessageType.getChain, {}, (payload) => decodeNftChain(payload.slice()));
    const rulesOf = (chain: NftChain): NftRule[] => listRules(connection, chain);
    const ruleset = {
      generation,
      own: tables.flatMap((table) => (table.name === name ? ownTable(table, chains, rulesOf) : [])),
      forward: chains.flatMap((chain) =>
        chain.table === name ? [] : forwardChain(chain, tables, name, rulesOf),
      ),
    };
    // Somebody who changes it all the time does not keep us from looking: a commit would notice.
    if (attempt === ATTEMPTS || connection.generation() === generation) return ruleset;
  }
}

function listRules(connection: NftablesConnection, { family, table, name: chain }: NftChain): NftRule[] {
  return connection
    .dump(NftMessageType.getRule, { family, table, chain }, (payload) => decodeNftRule(payload.slice()))
    .filter((rule) => rule.family === family && rule.table === table && rule.chain === chain);
}

function ownTable(
  table: NftTable,
  chains: readonly NftChain[],
  rulesOf: (chain: NftChain) => NftRule[],
): FirewallTable[] {
  const family = familyName(table.family);
  if (family === undefined) return [];
  const own = chains.filter((chain) => chain.family === table.family && chain.table === table.name);
  return [
    {
      family,
      name: table.name,
      ...(isDormant(table) && { dormant: true }),
      chains: own.map((chain) => ownChain(chain, rulesOf(chain))),
    },
  ];
}

function ownChain({ name, type, hook, policy }: NftChain, rules: readonly NftRule[]): FirewallChain {
  return {
    name,
    ...(hook && {
      base: {
        type: type ?? "filter",
        hook: hook.number,
        priority: hook.priority,
        policy: policy ?? "accept",
      },
    }),
    rules: rules.map(({ expressions = [], userData }) => {
      const comment = decodeNftComment(userData);
      return { expressions, ...(comment !== undefined && { comment }) };
    }),
  };
}

function forwardChain(
  chain: NftChain,
  tables: readonly NftTable[],
  name: string,
  rulesOf: (chain: NftChain) => NftRule[],
): ForwardChain[] {
  const family = familyName(chain.family);
  const onHook = chain.hook?.number === NftHook.forward && chain.type === "filter";
  if (family === undefined || !(onHook || chain.name === DOCKER_USER)) return [];
  const table = tables.find((one) => one.family === chain.family && one.name === chain.table);
  const rules = rulesOf(chain);
  return [
    {
      family,
      table: chain.table,
      chain: chain.name,
      drops: onHook && (chain.policy === "drop" || rules.some(dropsAll)) && !(table && isDormant(table)),
      locked: table?.owner !== undefined,
      jumps: new Set(rules.flatMap(jumpsOf)),
      ours: rules.flatMap((rule) => marked(rule, markOf(name))),
    },
  ];
}

/** Whether a rule drops or rejects every packet, as `-A FORWARD -j REJECT` does. */
function dropsAll({ expressions = [] }: NftRule): boolean {
  const [last, ...before] = expressions.toReversed();
  const drops = last?.kind === "verdict" ? last.verdict === "drop" : last?.kind === "other" && rejects(last);
  return drops && before.every((one) => one.kind === "counter" || iptablesComment(one) !== undefined);
}

/** `reject`, or what iptables-nft makes of its own target. */
function rejects({ name, data }: NftOther): boolean {
  if (name === "reject") return true;
  // NFTA_TARGET_NAME
  return (
    name === "target" &&
    decodeAttributes(data).some(({ type, value }) => type === 1 && textOf(value) === "REJECT")
  );
}

function jumpsOf({ expressions = [] }: NftRule): string[] {
  return expressions.flatMap((one) => (one.kind === "verdict" && one.chain !== undefined ? [one.chain] : []));
}

function marked({ handle, expressions = [], userData }: NftRule, mark: string): MarkedRule[] {
  const comment =
    decodeNftComment(userData) ?? expressions.map(iptablesComment).find((text) => text !== undefined);
  return comment === mark && handle !== undefined ? [{ handle, expressions, comment }] : [];
}

/** The comment of `-m comment`: what `iptables-restore` makes of our rules when it puts back what `iptables-save` wrote. */
function iptablesComment(expression: NftExpression): string | undefined {
  if (expression.kind !== "other" || expression.name !== "match") return undefined;
  const attributes = new Map(decodeAttributes(expression.data).map(({ type, value }) => [type, value]));
  // NFTA_MATCH_NAME, NFTA_MATCH_INFO
  const [name, info] = [attributes.get(1), attributes.get(3)].map((value) => value && textOf(value));
  return name === "comment" ? info : undefined;
}

function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function isDormant({ flags = 0 }: NftTable): boolean {
  return (flags & DORMANT) !== 0;
}

function familyName(family: number): FirewallFamily | undefined {
  return FAMILIES.find((name) => NftFamily[name] === family);
}

const FAMILIES: readonly FirewallFamily[] = ["inet", "ip", "ip6"];
