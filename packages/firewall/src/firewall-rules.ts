import type { Prefix } from "@loden/ip";

/** What a host's firewall should do for its overlay networks. */
export interface FirewallRules {
  /** The networks, IPv4 and IPv6; none means that there is nothing to do. */
  readonly networks: readonly FirewallNetwork[];
  /** Give packets that leave the overlay the host's address; absent, they keep their own. */
  readonly masquerade?: MasqueradeRules | undefined;
  /** Accept packets that are forwarded from or to the networks, in spite of others' chains that drop the rest. */
  readonly forward: boolean;
  /** Drop datagrams of containers that would pass for this host's, or another host's; absent, they pass. */
  readonly forgery?: ForgeryRules | undefined;
}

/** An overlay network as one host sees it. */
export interface FirewallNetwork {
  /** The whole network, all hosts' subnets. */
  readonly network: Prefix;
  /** This host's own subnet, inside the network. */
  readonly subnet: Prefix;
}

/** How to masquerade. */
export interface MasqueradeRules {
  /** Choose source ports fully at random, where the kernel can: fewer collisions. Default true. */
  readonly randomFully?: boolean | undefined;
  /** Destinations outside the overlay that know the way back: packets to them keep their own source. Both families. */
  readonly except?: readonly Prefix[] | undefined;
}

/**
 * How to know datagrams that containers forged. Hosts believe what reaches the port of encapsulated packets from a host's address,
 * and what a container sends there gets one when it leaves.
 */
export interface ForgeryRules {
  /** UDP ports to which hosts send encapsulated packets, such as 8285 (UDP backend) and 8472 (VXLAN). */
  readonly ports: readonly number[];
  /**
   * Names of the links between the hosts. What comes in by one of them and is forwarded is another host's, and passes; from any other
   * link nothing is forwarded to these ports, unless to a container.
   */
  readonly links: readonly string[];
}
