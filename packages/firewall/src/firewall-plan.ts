import type { NftExpression } from "@loden/netlink";

/** Tables as they should be, or as they are. */
export interface FirewallPlan {
  /** One of family `inet`, or one each of `ip` and `ip6`; none when there is nothing to do. */
  readonly tables: readonly FirewallTable[];
}

/** Families of tables that see IP packets. */
export type FirewallFamily = "inet" | "ip" | "ip6";

/** A table of nf_tables. */
export interface FirewallTable {
  /** Which packets it sees; with the name it identifies the table. */
  readonly family: FirewallFamily;
  readonly name: string;
  /** Somebody put it to sleep: its chains see no packets. */
  readonly dormant?: boolean | undefined;
  /** In the order in which they were made. */
  readonly chains: readonly FirewallChain[];
}

/** A chain and its rules. */
export interface FirewallChain {
  readonly name: string;
  /** Where its packets come from; without it they come by jumps. */
  readonly base?: FirewallBase | undefined;
  /** In the order in which packets meet them. */
  readonly rules: readonly FirewallRule[];
}

/** What makes a chain a base chain. */
export interface FirewallBase {
  /** `filter`, `nat` or `route`. */
  readonly type: string;
  /** Number of the hook, as NftHook of `@loden/netlink` names them. */
  readonly hook: number;
  /** Chains with lower numbers come first: 0 is `filter`, 100 `srcnat`. */
  readonly priority: number;
  /** What becomes of packets that no rule decided on. */
  readonly policy: "accept" | "drop";
}

/** One rule. */
export interface FirewallRule {
  /** What it does, in order. */
  readonly expressions: readonly NftExpression[];
  /** What `nft list` shows behind it. */
  readonly comment?: string | undefined;
}
