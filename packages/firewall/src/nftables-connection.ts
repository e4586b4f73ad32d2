import type { KernelError } from "@loden/linux";
import type { NftFilter } from "@loden/netlink";
import type { NetlinkRequest } from "@loden/netlink-socket";

/** A change of the ruleset. */
export interface NftRequest extends NetlinkRequest {
  /** What the kernel lacks when it refuses this one although it takes those before. */
  readonly needs?: FirewallFeature | undefined;
}

/** What old kernels lack: NAT in tables of family inet; source ports that are chosen fully at random. */
export type FirewallFeature = "inet nat" | "fully-random";

/** A request that the kernel refused, and with it all the others of its transaction. */
export interface Refusal {
  readonly request: NftRequest;
  readonly error: KernelError;
}

/** The ruleset of one namespace: what a socket does, so that tests can do without one. */
export interface NftablesConnection {
  /** The number of the ruleset as it is: every change by anybody makes another. */
  generation(): number;
  /** Lists: `read` makes a value of each payload at once, whose bytes are borrowed. */
  dump<T>(type: number, filter: NftFilter, read: (payload: Uint8Array) => T): T[];
  /**
   * Carries out changes as one transaction: all or none.
   *
   * @param generation Of the ruleset that they were made for.
   * @returns `stale` when it was changed meanwhile; else the refusals in order, none when all is done.
   */
  commit(generation: number, requests: readonly NftRequest[]): "stale" | readonly Refusal[];
  /** Again does nothing. */
  close(): void;
}
