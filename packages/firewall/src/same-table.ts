import { encodeNftExpressions, type NftExpression } from "@loden/netlink";
import type { FirewallBase, FirewallChain, FirewallRule, FirewallTable } from "./firewall-plan.ts";

/** Whether two tables do the same in the same order under the same name. */
export function sameTable(left: FirewallTable, right: FirewallTable): boolean {
  return (
    left.family === right.family &&
    left.name === right.name &&
    (left.dormant ?? false) === (right.dormant ?? false) &&
    sameList(left.chains, right.chains, sameChain)
  );
}

/** Whether rules are the same in the same order, comments included. */
export function sameRules(left: readonly FirewallRule[], right: readonly FirewallRule[]): boolean {
  return sameList(left, right, sameRule);
}

/** Whether two rules are the same, comments included, whatever they have counted. */
export function sameRule(left: FirewallRule, right: FirewallRule): boolean {
  if (left.comment !== right.comment) return false;
  const [bytes, others] = [bytesOf(left), bytesOf(right)];
  return bytes.length === others.length && bytes.every((byte, index) => byte === others[index]);
}

function sameChain(left: FirewallChain, right: FirewallChain): boolean {
  return left.name === right.name && sameBase(left.base, right.base) && sameRules(left.rules, right.rules);
}

function sameBase(left: FirewallBase | undefined, right: FirewallBase | undefined): boolean {
  if (!left || !right) return left === right;
  return (
    left.type === right.type &&
    left.hook === right.hook &&
    left.priority === right.priority &&
    left.policy === right.policy
  );
}

function bytesOf({ expressions }: FirewallRule): Uint8Array {
  return encodeNftExpressions(expressions.map((one) => (one.kind === "counter" ? ZERO : one)));
}

const ZERO: NftExpression = { kind: "counter", packets: 0n, bytes: 0n };

function sameList<T>(left: readonly T[], right: readonly T[], same: (a: T, b: T) => boolean): boolean {
  return left.length === right.length && left.every((item, index) => same(item, right[index]!));
}
