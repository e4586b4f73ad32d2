import type { Prefix } from "@loden/ip";

/** What a host's firewall should do for its overlay networks. */
export interface FirewallRules {
  /** The networks, IPv4 and IPv6; none means that there is nothing to do. */
  readonly networks: readonly FirewallNetwork[];
  /** Give packets that leave the overlay the host's address; absent, they keep their own. */
  readonly masquerade?: MasqueradeRules | undefined;
  /** Accept packets that are forwarded from or to the networks, whatever the host's other rules drop by policy. */
  readonly forward: boolean;
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
