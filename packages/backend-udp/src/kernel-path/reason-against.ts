import type { Underlay } from "@loden/backend";
import type { Address, Prefix } from "@loden/ip";

/** What {@link reasonAgainst} looks at. */
export interface KernelPathPlace {
  /** As the backend has it. */
  readonly kernelPath?: "auto" | "off" | undefined;
  /** This host's subnet, IPv4. */
  readonly subnet: Prefix | undefined;
  /** Of the network's IPv4 subnets, in bits. */
  readonly prefixLength: number | undefined;
  readonly underlay: Underlay;
  /** The IPv4 address that peers send to, where it is not the underlay's. */
  readonly publicIP?: Address | undefined;
}

/**
 * Says why a host can't have a kernel path, as far as its settings, its lease and the underlay's address tell.
 *
 * @param place the host's.
 * @returns the reason in words, or undefined where there is none.
 */
export function reasonAgainst(place: KernelPathPlace): string | undefined {
  const { kernelPath, subnet, prefixLength, underlay, publicIP } = place;
  if (kernelPath === "off") return "it is switched off";
  if (subnet === undefined || prefixLength === undefined) return "the host has no IPv4 subnet";
  if (underlay.ipv4 === undefined) return "the underlay has no IPv4 address";
  if (subnet.length !== prefixLength)
    return `the host's subnet is not as long as others, which are /${prefixLength}`;
  if (publicIP?.equals(underlay.ipv4) === false) return "peers send to another address than the underlay's";
  return undefined;
}
