import { type Firewall, type FirewallRules, openFirewall } from "@loden/firewall";
import { formatSubnet, type NetworkConfig, type Subnet } from "@loden/subnet";
import type { Settings } from "../flags/read-settings.ts";
import { nextChange } from "../health/next-change.ts";
import type { NodeHealth } from "../health/node-health.ts";
import type { Logger } from "../log/logger.ts";

/**
 * Says which rules a host should have.
 *
 * @param network the network.
 * @param subnet this host's.
 * @param settings the flags.
 */
export function desiredRules(
  network: NetworkConfig,
  subnet: Subnet,
  settings: Settings["firewall"],
): FirewallRules {
  const pairs = [
    [network.ipv4?.network, subnet.ipv4],
    [network.ipv6?.network, subnet.ipv6],
  ] as const;
  const networks = pairs.flatMap(([whole, own]) =>
    whole === undefined || own === undefined ? [] : [{ network: whole, subnet: own }],
  );
  const { masquerade, fullyRandom, except, forward } = settings;
  return {
    networks,
    ...(masquerade && { masquerade: { randomFully: fullyRandom, except } }),
    forward,
  };
}

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
 * Keeps the firewall's rules in place: applies them as soon as the host holds a subnet, at once when it holds another one, and again at an interval,
 * because other programs flush tables. Where no rules are wanted, those of an earlier run are removed.
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
    const { node } = health;
    const subnet = node && formatSubnet(node.lease.subnet);
    if (node !== undefined && (subnet !== appliedTo || performance.now() >= next)) {
      const error = await attempt(async () => {
        firewall ??= open.use(openFirewall({ table: options.table }));
        await firewall.apply(desiredRules(node.network, node.lease.subnet, settings), { signal });
      });
      signal.throwIfAborted();
      report(options, error);
      appliedTo = subnet;
      next = performance.now() + settings.resyncMs;
    }
    await nextChange(health, { timeoutMs: Math.max(0, next - performance.now()), signal });
  }
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
