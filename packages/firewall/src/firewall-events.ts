import { channel } from "node:diagnostics_channel";
import type { FirewallFeature } from "./nftables-connection.ts";

/**
 * What a firewall did or found, published on the diagnostics channel `loden:firewall`:
 * - `changed`: our tables or accepts were not as they should be and were replaced, or they were cleared.
 * - `repaired`: the same, after somebody else had changed them.
 * - `failed`: the kernel refused a repair, or others kept changing the ruleset; it is tried again. Published when it is another error.
 * - `accepted`: a chain of somebody else's drops forwarded packets, by its policy or a rule that takes all (`chain`); these accepts of ours stand in
 *   `into` against that.
 * - `locked`: such a chain is in a table that a running program owns, so that nothing can be inserted: packets are dropped.
 * - `unseen`: iptables-legacy has tables here, whose rules nftables cannot see; they may drop packets.
 * - `downgraded`: the kernel lacks a feature; the firewall does without.
 * The last four are published when they are new to this firewall.
 */
export type FirewallEvent =
  | { readonly type: "changed" | "repaired" }
  | { readonly type: "failed"; readonly error: Error }
  | {
      readonly type: "accepted";
      readonly chain: string;
      readonly into: string;
      readonly rules: readonly string[];
    }
  | { readonly type: "locked"; readonly chain: string }
  | { readonly type: "unseen"; readonly tables: readonly string[] }
  | { readonly type: "downgraded"; readonly feature: FirewallFeature };

const diagnostics = channel("loden:firewall");

/** Publishes events; what it is told as a finding only when it differs from the last time. */
export class FirewallEvents {
  readonly #context: Readonly<Record<string, unknown>>;
  #findings: ReadonlySet<string> = new Set();

  /** @param context What every message says of its origin. */
  constructor(context: Readonly<Record<string, unknown>>) {
    this.#context = context;
  }

  publish(event: FirewallEvent): void {
    if (diagnostics.hasSubscribers) diagnostics.publish({ ...event, ...this.#context });
  }

  /** Publishes those findings that were not among the last ones. */
  found(findings: readonly FirewallEvent[]): void {
    const keys = new Map(findings.map((finding) => [JSON.stringify(finding), finding]));
    for (const [key, finding] of keys) if (!this.#findings.has(key)) this.publish(finding);
    this.#findings = new Set(keys.keys());
  }
}
