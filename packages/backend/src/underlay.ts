import type { Address } from "@loden/ip";

/** The network between the hosts, as this host is attached to it. */
export interface Underlay {
  /** The interface's name, e.g. `eth0`. */
  readonly link: string;
  /** Its MTU in bytes. */
  readonly mtu: number;
  /** This host's own IPv4 address on it, if it has one. */
  readonly ipv4?: Address | undefined;
  /** This host's own IPv6 address on it, if it has one. */
  readonly ipv6?: Address | undefined;
}
