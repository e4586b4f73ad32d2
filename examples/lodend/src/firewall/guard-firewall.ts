import { setTimeout as sleep } from "node:timers/promises";
import type { Prefix } from "@loden/ip";
import { formatSubnet, type NetworkConfig, type Subnet } from "@loden/subnet";
import type { Settings } from "../flags/read-settings.ts";
import type { NodeHealth } from "../health/node-health.ts";
import type { Logger } from "../log/logger.ts";

/** The firewall's rules as they should be. */
export interface DesiredRules {
  /** The overlay and this host's part of it, by family. */
  readonly networks: readonly { readonly network: Prefix; readonly subnet: Prefix }[];
  /** Masquerade what leaves the overlay; not at all without it. */
  readonly masquerade?: { readonly randomFully?: boolean; readonly except?: readonly Prefix[] };
  /** Whether the overlay's packets are forwarded. */
  readonly forward: boolean;
}

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
): DesiredRules {
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
  /** Applies rules, or finds that they are in place. */
  readonly firewall: { apply(desired: DesiredRules): Promise<unknown> };
  readonly settings: Settings["firewall"];
  /** Knows what the host holds, and is told how the rules are. */
  readonly health: NodeHealth;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * Keeps the firewall's rules in place: applies them as soon as the host holds a subnet, at once when it holds another one, and again at an interval,
 * because other programs flush tables.
 *
 * @param options what to look after.
 */
export async function guardFirewall(options: GuardFirewallOptions): Promise<void> {
  const { firewall, settings, health, logger, signal } = options;
  health.firewall.isWanted = settings.masquerade || settings.forward;
  let appliedTo: string | undefined;
  let next = 0;
  while (health.firewall.isWanted) {
    const { node } = health;
    const subnet = node && formatSubnet(node.lease.subnet);
    if (node !== undefined && (subnet !== appliedTo || performance.now() >= next)) {
      const error = await attempt(() =>
        firewall.apply(desiredRules(node.network, node.lease.subnet, settings)),
      );
      if (error !== undefined) {
        health.counts.firewallErrors += 1;
        if (error.message !== health.firewall.error?.message)
          logger.log("error", "the firewall's rules could not be applied", { error });
      } else if (!health.firewall.isApplied) logger.log("info", "the firewall's rules are in place");
      Object.assign(health.firewall, { error, isApplied: error === undefined });
      appliedTo = subnet;
      next = performance.now() + settings.resyncMs;
    }
    await sleep(LOOK_MS, undefined, { signal });
  }
}

/** How soon a new subnet is noticed. */
const LOOK_MS = 200;

async function attempt(work: () => Promise<unknown>): Promise<Error | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error as Error;
  }
}
