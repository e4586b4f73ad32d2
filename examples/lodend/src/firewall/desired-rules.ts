import type { FirewallRules } from "@loden/firewall";
import { type NetworkConfig, parseBackendOptions, type Subnet } from "@loden/subnet";
import type { Settings } from "../flags/read-settings.ts";

/** What {@link desiredRules} makes rules of. */
export interface DesiredRulesSources {
  readonly network: NetworkConfig;
  /** This host's. */
  readonly subnet: Subnet;
  /** Name of the interface between hosts, where it is known. */
  readonly link: string | undefined;
  readonly settings: Omit<Settings["firewall"], "resyncMs">;
}

/** The port of VXLAN where the configuration names none: Linux's own, not IANA's. */
const VXLAN_PORT = 8472;

/**
 * Says which rules a host should have.
 *
 * @param sources the network, the host's place in it, and the flags.
 */
export function desiredRules({ network, subnet, link, settings }: DesiredRulesSources): FirewallRules {
  const pairs = [
    [network.ipv4?.network, subnet.ipv4],
    [network.ipv6?.network, subnet.ipv6],
  ] as const;
  const networks = pairs.flatMap(([whole, own]) =>
    whole === undefined || own === undefined ? [] : [{ network: whole, subnet: own }],
  );
  const { masquerade, fullyRandom, except, forward, dropForged } = settings;
  const ports = encapsulationPorts(network);
  return {
    networks,
    ...(masquerade && { masquerade: { randomFully: fullyRandom, except } }),
    forward,
    ...(dropForged && ports.length > 0 && { forgery: { ports, links: link === undefined ? [] : [link] } }),
  };
}

/** The UDP ports to which hosts send encapsulated packets. */
function encapsulationPorts(network: NetworkConfig): number[] {
  switch (network.backend.type) {
    case "udp":
      return [parseBackendOptions(network, "udp").port];
    case "vxlan":
      return [parseBackendOptions(network, "vxlan").port || VXLAN_PORT];
    default:
      return [];
  }
}
