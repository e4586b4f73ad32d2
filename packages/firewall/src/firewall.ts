import type { FirewallRules } from "./firewall-rules.ts";

/** Options that every method takes. */
export interface FirewallCallOptions {
  /** Ends the call between two attempts and rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
}

/** What a firewall has counted. */
export interface FirewallCounts {
  /**
   * Forged datagrams that were dropped, and their bytes with network headers. The kernel counts: it goes on through restarts of this
   * program and changes of other rules, and begins again when somebody deletes the table.
   */
  readonly forged: { readonly packets: number; readonly bytes: number };
}

/** The firewall of one table's name in one network namespace. */
export interface Firewall extends Disposable {
  /**
   * Makes our table, and our accepts in chains of others that drop forwarded packets, what the rules say. Idempotent: reads
   * what is there, and only when it differs replaces it, in one transaction, so that no packet meets a half of it.
   * Calls wait for each other.
   *
   * @param desired What the firewall should do.
   * @returns Whether anything had to be changed.
   * @throws {RangeError} The rules cannot be; nothing changed.
   * @throws {KernelError} The kernel refused (EPERM without CAP_NET_ADMIN), or others keep changing the ruleset (EAGAIN);
   * nothing changed.
   * @throws {NotSupportedError} ERR_NOT_SUPPORTED: the kernel has no nf_tables.
   */
  apply(desired: FirewallRules, options?: FirewallCallOptions): Promise<{ readonly changed: boolean }>;
  /**
   * Lists what is there of ours: our tables as `nft list table` prints them, then our rules in chains of others, and in
   * comments (`#`) what may drop packets nevertheless.
   *
   * @returns Lines without their ends; none when there is nothing.
   */
  list(options?: FirewallCallOptions): Promise<string[]>;
  /**
   * Says what `apply` would do in chains of others, and changes nothing.
   *
   * @param desired What the firewall should do.
   * @returns Commands for a shell, and comments (`#`) that say why; none when no chain of others drops forwarded packets.
   * @throws {KernelError} The kernel refused to tell (EPERM without CAP_NET_ADMIN).
   */
  explain(desired: FirewallRules, options?: FirewallCallOptions): Promise<string[]>;
  /** Reads what has been counted; zeros when there are no rules that count. */
  counts(options?: FirewallCallOptions): Promise<FirewallCounts>;
  /** Removes our tables and our rules in chains of others, also those of an earlier process; nothing is repaired from now on. */
  clear(options?: FirewallCallOptions): Promise<{ readonly changed: boolean }>;
  /** Closes the socket; the rules stay. Again does nothing. */
  close(): void;
}
