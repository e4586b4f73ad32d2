import type { AddressFamily, Prefix } from "@loden/ip";
import { RuleAction, type RuleMessage } from "@loden/netlink";

/** What becomes of a packet that a rule selects, named as `ip rule` names it; `lookup` looks a table up. */
export type RuleActionName = "lookup" | "blackhole" | "unreachable" | "prohibit";

/** A rule of policy routing: which packets look which table up. */
export interface Rule {
  /** Of which packets; told by `from` or `to` where one of them is given, else 4 without it. */
  readonly family?: AddressFamily | undefined;
  /** Source that packets must have; any without it. */
  readonly from?: Prefix | undefined;
  /** Destination that packets must have; any without it. */
  readonly to?: Prefix | undefined;
  /** Place in the order of rules, lower comes first; the kernel chooses one without it. */
  readonly priority?: number | undefined;
  /** Firewall mark that packets must have. */
  readonly mark?: number | undefined;
  /** Bits of the mark that count. Default all. */
  readonly markMask?: number | undefined;
  /** Name of the link that packets came in by; it need not exist. */
  readonly inputLink?: string | undefined;
  /** Name of the link that packets are bound to; it need not exist. */
  readonly outputLink?: string | undefined;
  /** Default `lookup`. */
  readonly action?: RuleActionName | undefined;
  /** Table to look up. Default 254, main. */
  readonly table?: number | undefined;
  /** Pass over routes of that prefix length or less. */
  readonly suppressPrefixLength?: number | undefined;
  /** Select packets that do not match. Default false. */
  readonly invert?: boolean | undefined;
  /** Number of who added it (RTPROT_*). Default 4, static. */
  readonly protocol?: number | undefined;
}

/** A rule as the kernel lists it. */
export interface ListedRule extends Rule {
  /** Of which packets. */
  readonly family: AddressFamily;
  /** Place in the order of rules, lower comes first. */
  readonly priority: number;
  /** What becomes of a packet. */
  readonly action: RuleActionName;
}

const INVERT = 2;
const MAIN = 254;
const STATIC = 4;
/** FRA_SUPPRESS_PREFIXLEN of a rule that passes nothing over. */
const NOTHING = 0xffff_ffff;

/** The message for a rule. */
export function ruleMessage(rule: Rule): RuleMessage {
  const { from, to, priority, mark, markMask, inputLink, outputLink, suppressPrefixLength } = rule;
  const action = rule.action ?? "lookup";
  return {
    family: from?.family ?? to?.family ?? rule.family ?? 4,
    action: RuleAction[action],
    table: action === "lookup" ? (rule.table ?? MAIN) : 0,
    flags: rule.invert ? INVERT : 0,
    protocol: rule.protocol ?? STATIC,
    ...(from && { from }),
    ...(to && { to }),
    ...(priority !== undefined && { priority }),
    ...(mark !== undefined && { mark }),
    ...(markMask !== undefined && { markMask }),
    ...(inputLink !== undefined && { inputLink }),
    ...(outputLink !== undefined && { outputLink }),
    ...(suppressPrefixLength !== undefined && { suppressPrefixLength }),
  };
}

/** The rule that a message tells of; `undefined` for one that does something that has no name here. */
export function ruleOf(message: RuleMessage): ListedRule | undefined {
  const { family, from, to, priority = 0, mark, markMask, inputLink, outputLink, protocol } = message;
  const { suppressPrefixLength = NOTHING } = message;
  const action = actions.find((name) => RuleAction[name] === message.action);
  if (action === undefined) return undefined;
  return {
    family,
    priority,
    action,
    ...(action === "lookup" && { table: message.table }),
    ...((message.flags ?? 0) & INVERT && { invert: true }),
    ...(from && { from }),
    ...(to && { to }),
    ...(mark !== undefined && { mark }),
    ...(markMask !== undefined && { markMask }),
    ...(inputLink !== undefined && { inputLink }),
    ...(outputLink !== undefined && { outputLink }),
    ...(suppressPrefixLength !== NOTHING && { suppressPrefixLength }),
    ...(protocol !== undefined && { protocol }),
  };
}

const actions = [
  "lookup",
  "blackhole",
  "unreachable",
  "prohibit",
] as const satisfies readonly RuleActionName[];
