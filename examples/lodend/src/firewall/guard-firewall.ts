import { type Firewall, openFirewall } from "@loden/firewall";
import { formatSubnet } from "@loden/subnet";
import type { Settings } from "../flags/read-settings.ts";
import { nextChange } from "../health/next-change.ts";
import type { NodeHealth } from "../health/node-health.ts";
import type { Logger } from "../log/logger.ts";
import { desiredRules } from "./desired-rules.ts";

/**
 * Names the firewall's table of a daemon.
 *
 * @param name the daemon's `--name`.
 */
export function firewallTableOf(name: string): string {
  return name === "loden" ? name : `loden-${name}`;
}

/** What {@link guardFirewall} looks after. */
export interface GuardFirewallOptions {
  /** Name of the firewall's table. */
  readonly table: string;
  readonly settings: Settings["firewall"];
  /** Knows what the host holds, and is told how the rules are. */
  readonly health: NodeHealth;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * Keeps the firewall's rules in place: applies them as soon as the host holds a subnet, at once when it holds another one or reaches the others by
 * another interface, and again at an interval. What others change in between is put back at once. Where no rules are wanted, those of an earlier run
 * are removed.
 *
 * @param options what to look after.
 */
export async function guardFirewall(options: GuardFirewallOptions): Promise<void> {
  const { settings, health, signal } = options;
  await using open = new AsyncDisposableStack();
  let firewall: Firewall | undefined;
  let appliedTo: string | undefined;
  let next = Infinity;
  for (;;) {
    const { node, underlay } = health;
    const place = node && `${formatSubnet(node.lease.subnet)} ${underlay?.link}`;
    if (node !== undefined && (place !== appliedTo || performance.now() >= next)) {
      const { network, lease } = node;
      const rules = desiredRules({ network, subnet: lease.subnet, link: underlay?.link, settings });
      const error = await attempt(async () => {
        firewall ??= open.use(openFirewall({ table: options.table, repair: true }));
        await firewall.apply(rules, { signal });
        noteForged(options, (await firewall.counts({ signal })).forged);
      });
      signal.throwIfAborted();
      report(options, error);
      appliedTo = place;
      next = performance.now() + settings.resyncMs;
    }
    await nextChange(health, { timeoutMs: Math.max(0, next - performance.now()), signal });
  }
}

const FORGED =
  "dropped datagrams to other hosts' port of encapsulated packets: containers sent them, or hosts for which this one routes; see --drop-forged";

/** Says so when containers begin to send to the port of encapsulated packets. */
function noteForged({ health, logger }: GuardFirewallOptions, forged: NodeHealth["forged"]): void {
  if (health.forged.packets === 0 && forged.packets > 0) logger.log("warn", FORGED, forged);
  health.forged = forged;
}

async function attempt(work: () => Promise<void>): Promise<Error | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

function report({ health, logger, settings }: GuardFirewallOptions, error: Error | undefined): void {
  const { firewall } = health;
  if (error !== undefined) {
    health.counts.firewallErrors += 1;
    if (error.message !== firewall.error?.message)
      logger.log("error", "the firewall's rules could not be applied", { error });
  } else if (firewall.error !== undefined) logger.log("info", "the firewall's rules are in place again");
  // A kernel without nf_tables drops nothing by them either.
  const isSupported = (error as { readonly code?: string } | undefined)?.code !== "ERR_NOT_SUPPORTED";
  const isWanted = settings.masquerade || (settings.forward && isSupported);
  health.set({ firewall: { isWanted, error, isApplied: error === undefined } });
}
