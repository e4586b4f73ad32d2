import { errno, KernelError } from "@loden/linux";
import type { Netns } from "@loden/netns";
import { setImmediate } from "node:timers/promises";
import { FirewallEvents } from "./firewall-events.ts";
import type { FirewallRules } from "./firewall-rules.ts";
import type { Firewall, FirewallCallOptions } from "./firewall.ts";
import { findingsOf, formatRuleset } from "./format-findings.ts";
import { legacyTables } from "./legacy-tables.ts";
import type { FirewallFeature, NftablesConnection, Refusal } from "./nftables-connection.ts";
import { NftablesSocket } from "./nftables-socket.ts";
import { planChanges } from "./plan-changes.ts";
import { checkTable, planFirewall } from "./plan-firewall.ts";
import { planForwardAccepts } from "./plan-forward-accepts.ts";
import { readRuleset } from "./read-ruleset.ts";

/** Options of {@link openFirewall}. */
export interface OpenFirewallOptions {
  /** Namespace to work in; without it, that of the calling thread. Keep it open as long as the firewall. */
  readonly netns?: Netns | undefined;
  /** Name of our table: whatever has it in the families inet, ip and ip6 is ours to replace and to remove. Default `loden`. */
  readonly table?: string | undefined;
}

/**
 * Opens a firewall: desired rules go in, the kernel's nf_tables follow, and no `nft` is run. Needs CAP_NET_ADMIN in the
 * namespace, also to list. Two firewalls with different names stand side by side.
 *
 * @param options Namespace and name.
 * @returns The firewall; close it after use, which leaves the rules.
 * @throws {RangeError} The name is no name of a table.
 * @throws {KernelError} EPERM when the namespace may not be entered.
 * @throws {NotSupportedError} ERR_NOT_SUPPORTED: the kernel has no netfilter.
 */
export function openFirewall(options: OpenFirewallOptions = {}): Firewall {
  const { netns, table = "loden" } = options;
  checkTable(table);
  return new NftablesFirewall(new NftablesSocket(netns), {
    table,
    netns: netns?.name,
    legacy: () => legacyTables(netns),
  });
}

/** What a firewall is told of its surroundings. */
export interface FirewallSettings {
  /** Name of our table. */
  readonly table: string;
  /** Name of the namespace, for events. */
  readonly netns?: string | undefined;
  /** Names the tables of iptables-legacy. */
  readonly legacy: () => readonly string[];
}

/** How often to try again when others change the ruleset between our reading and our writing. */
const ATTEMPTS = 20;

/** How kernels say that they do not know something. */
const UNKNOWN: ReadonlySet<number> = new Set([
  errno.ENOENT,
  errno.EINVAL,
  errno.EOPNOTSUPP,
  errno.EAFNOSUPPORT,
]);

/** The firewall over any connection. */
export class NftablesFirewall implements Firewall {
  readonly #connection: NftablesConnection;
  readonly #settings: FirewallSettings;
  readonly #events: FirewallEvents;
  /** What this kernel has been found to lack. */
  readonly #lacks = new Set<FirewallFeature>();
  /** The call that is under way; the next one waits for it. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(connection: NftablesConnection, settings: FirewallSettings) {
    this.#connection = connection;
    this.#settings = settings;
    this.#events = new FirewallEvents({ netns: settings.netns, firewall: settings.table });
  }

  apply(desired: FirewallRules, options: FirewallCallOptions = {}): Promise<{ readonly changed: boolean }> {
    return this.#exclusive(async () => {
      for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        options.signal?.throwIfAborted();
        const changed = this.#attempt(desired);
        if (changed !== undefined) return { changed };
        await setImmediate();
      }
      throw new KernelError({
        attempt: `change table ${this.#settings.table}`,
        syscall: "netlink",
        errno: errno.EAGAIN,
        detail: "others keep changing the ruleset",
      });
    });
  }

  list(options: FirewallCallOptions = {}): Promise<string[]> {
    return this.#exclusive(async () => {
      options.signal?.throwIfAborted();
      return formatRuleset(readRuleset(this.#connection, this.#settings.table), this.#settings.legacy());
    });
  }

  clear(options: FirewallCallOptions = {}): Promise<{ readonly changed: boolean }> {
    return this.apply({ networks: [], forward: false }, options);
  }

  close(): void {
    this.#connection.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Reads, compares and replaces, all at once; undefined when it has to be done again. */
  #attempt(desired: FirewallRules): boolean | undefined {
    const { table, legacy } = this.#settings;
    const plan = planFirewall(desired, {
      table,
      inet: !this.#lacks.has("inet nat"),
      fullyRandom: !this.#lacks.has("fully-random"),
    });
    const current = readRuleset(this.#connection, table);
    const accepts = planForwardAccepts(desired, table, current.forward);
    const changes = planChanges(plan, accepts, current);
    if (changes.length > 0) {
      const outcome = this.#connection.commit(current.generation, changes);
      if (outcome === "stale") return undefined;
      if (outcome.length > 0) return this.#doWithout(outcome);
      this.#events.publish({ type: "changed" });
    }
    this.#events.found(findingsOf(accepts, plan.tables.length > 0 ? legacy() : []));
    return changes.length > 0;
  }

  /** Notes what the kernel lacks, so that the next attempt does without; throws when that is not why it refused. */
  #doWithout(refusals: readonly Refusal[]): undefined {
    // What comes after the first one may be refused only because that one was.
    const { request, error } = refusals[0]!;
    const { needs } = request;
    if (needs === undefined || this.#lacks.has(needs) || !UNKNOWN.has(error.errno)) throw error;
    this.#lacks.add(needs);
    this.#events.publish({ type: "downgraded", feature: needs });
  }

  async #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#last;
    const result = before.then(work, work);
    this.#last = result.catch(() => undefined);
    return await result;
  }
}
