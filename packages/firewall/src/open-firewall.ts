import { errno, KernelError } from "@loden/linux";
import type { Netns } from "@loden/netns";
import { setImmediate } from "node:timers/promises";
import { FirewallEvents } from "./firewall-events.ts";
import type { FirewallRules } from "./firewall-rules.ts";
import type { Firewall, FirewallCallOptions, FirewallCounts } from "./firewall.ts";
import { findingsOf, formatAccepts, formatRuleset } from "./format-findings.ts";
import { legacyTables } from "./legacy-tables.ts";
import type { FirewallFeature, NftablesConnection, Refusal } from "./nftables-connection.ts";
import { NftablesSocket } from "./nftables-socket.ts";
import { planChanges } from "./plan-changes.ts";
import { checkTable, planFirewall } from "./plan-firewall.ts";
import { planForwardAccepts } from "./plan-forward-accepts.ts";
import { readCounts } from "./read-counts.ts";
import { readRuleset } from "./read-ruleset.ts";
import { RepairGuard } from "./repair-guard.ts";
import { watchNftables } from "./watch-nftables.ts";

/** Options of {@link openFirewall}. */
export interface OpenFirewallOptions {
  /** Namespace to work in; without it, that of the calling thread. Keep it open as long as the firewall. */
  readonly netns?: Netns | undefined;
  /** Name of our table: whatever has it in the families inet, ip and ip6 is ours to replace and to remove. Default `loden`. */
  readonly table?: string | undefined;
  /**
   * Put back what others remove or change, some 20 ms after the kernel tells of it; also follow chains of others that begin or cease to
   * drop. Keeps the process alive until the firewall is closed. Default false.
   */
  readonly repair?: boolean | undefined;
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
  const { netns, table = "loden", repair = false } = options;
  checkTable(table);
  const socket = new NftablesSocket(netns);
  try {
    return new NftablesFirewall(socket, {
      table,
      netns: netns?.name,
      legacy: () => legacyTables(netns),
      ...(repair && { watch: (onChange) => watchNftables(netns, onChange) }),
    });
  } catch (error) {
    socket.close();
    throw error;
  }
}

/** What a firewall is told of its surroundings. */
export interface FirewallSettings {
  /** Name of our table. */
  readonly table: string;
  /** Name of the namespace, for events. */
  readonly netns?: string | undefined;
  /** Names the tables of iptables-legacy. */
  readonly legacy: () => readonly string[];
  /** Calls back when somebody changed the ruleset; without it nothing is repaired. */
  readonly watch?: ((onChange: () => void) => Disposable) | undefined;
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
  readonly #guard = new RepairGuard(() => this.#repair());
  readonly #watch: Disposable | undefined;
  /** What to repair to; undefined before the first `apply`. */
  #desired: FirewallRules | undefined;
  /** The ruleset's number when all was right. */
  #right: number | undefined;
  /** Why the last repair failed, so that it is told once. */
  #failure: string | undefined;
  /** The call that is under way; the next one waits for it. */
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(connection: NftablesConnection, settings: FirewallSettings) {
    this.#connection = connection;
    this.#settings = settings;
    this.#events = new FirewallEvents({ netns: settings.netns, firewall: settings.table });
    this.#watch = settings.watch?.(() => this.#guard.notice());
  }

  apply(desired: FirewallRules, options: FirewallCallOptions = {}): Promise<{ readonly changed: boolean }> {
    return this.#exclusive(async () => {
      const changed = await this.#make(desired, "changed", options);
      this.#desired = desired;
      return { changed };
    });
  }

  list(options: FirewallCallOptions = {}): Promise<string[]> {
    return this.#exclusive(async () => {
      options.signal?.throwIfAborted();
      return formatRuleset(readRuleset(this.#connection, this.#settings.table), this.#settings.legacy());
    });
  }

  explain(desired: FirewallRules, options: FirewallCallOptions = {}): Promise<string[]> {
    return this.#exclusive(async () => {
      options.signal?.throwIfAborted();
      const { table } = this.#settings;
      return formatAccepts(planForwardAccepts(desired, table, readRuleset(this.#connection, table).forward));
    });
  }

  counts(options: FirewallCallOptions = {}): Promise<FirewallCounts> {
    return this.#exclusive(async () => {
      options.signal?.throwIfAborted();
      return readCounts(this.#connection, this.#settings.table);
    });
  }

  clear(options: FirewallCallOptions = {}): Promise<{ readonly changed: boolean }> {
    return this.#exclusive(async () => {
      this.#desired = undefined;
      return { changed: await this.#make({ networks: [], forward: false }, "changed", options) };
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#guard.close();
    this.#watch?.[Symbol.dispose]();
    this.#connection.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Makes the ruleset what it was last asked to be, when somebody changed it. */
  #repair(): Promise<"right" | "repaired" | "failed"> {
    return this.#exclusive(async () => {
      const desired = this.#desired;
      if (this.#closed || desired === undefined) return "right";
      try {
        if (this.#connection.generation() === this.#right) return "right";
        const changed = await this.#make(desired, "repaired");
        this.#failure = undefined;
        return changed ? "repaired" : "right";
      } catch (error) {
        const { message } = error as Error;
        if (message !== this.#failure) this.#events.publish({ type: "failed", error: error as Error });
        this.#failure = message;
        return "failed";
      }
    });
  }

  /** Tries until nobody else changes the ruleset between reading and writing; whether anything had to be changed. */
  async #make(
    desired: FirewallRules,
    event: "changed" | "repaired",
    { signal }: FirewallCallOptions = {},
  ): Promise<boolean> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      signal?.throwIfAborted();
      const changed = this.#attempt(desired, event);
      if (changed !== undefined) return changed;
      await setImmediate();
    }
    throw new KernelError({
      attempt: `change table ${this.#settings.table}`,
      syscall: "netlink",
      errno: errno.EAGAIN,
      detail: "others keep changing the ruleset",
    });
  }

  /** Reads, compares and replaces, all at once; undefined when it has to be done again. */
  #attempt(desired: FirewallRules, event: "changed" | "repaired"): boolean | undefined {
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
      this.#events.publish({ type: event });
    }
    this.#right = changes.length > 0 ? undefined : current.generation;
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
