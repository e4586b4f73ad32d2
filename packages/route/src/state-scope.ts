import type { Route } from "@loden/rtnetlink";

/** What is ours: nothing else is touched. */
export interface StateScope {
  /** Names of links that are ours, with all that is on them. */
  readonly links: readonly string[];
  /** Routing table. */
  readonly table: number;
  /** Number that marks routes of ours. */
  readonly protocol: number;
  /** Of the routes of that number, which are ours; all of them without it. */
  readonly ownsRoute?: ((route: Route) => boolean) | undefined;
  /** Names of links to plan for as if they were there: those that somebody else makes before the plan is carried out. */
  readonly expects?: readonly string[] | undefined;
}
