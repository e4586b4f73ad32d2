import type { LinkSettings } from "@loden/rtnetlink";
import type { StateObject } from "../desired-state.ts";

/** One thing to do. */
export interface StateChange {
  /** `replace` stands for a change in place; a link that is made again is removed and added. */
  readonly verb: "add" | "replace" | "remove";
  /** What to add, what to have in the place of another, or what to remove. */
  readonly object: StateObject;
  /** `replace`: what is there. */
  readonly current?: StateObject | undefined;
  /** `replace` of a link: what to change. */
  readonly settings?: LinkSettings | undefined;
}

/** A desired object that cannot be had. */
export interface StateConflict {
  /** What was desired. */
  readonly object: StateObject;
  /** What has its place: somebody else's route, or another desired object. */
  readonly other: StateObject;
  /** Whether `other` is desired too, so that the desired state contradicts itself. */
  readonly duplicate: boolean;
}

/** What has to be done so that the kernel holds the desired state. */
export interface StatePlan {
  /** What to do to links before the rest can be: removals, then additions and changes in place. */
  readonly links: readonly StateChange[];
  /** The rest, in order: addresses, neighbours, forwarding entries, routes; then removals the other way round. */
  readonly changes: readonly StateChange[];
  /** What cannot be had without harm to others. */
  readonly conflicts: readonly StateConflict[];
  /** What waits for a link that is not there and that nothing here makes. */
  readonly blocked: readonly { readonly object: StateObject; readonly link: string }[];
}
