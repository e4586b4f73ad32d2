import type { Address } from "@loden/ip";
import type { BackendOptionsByType } from "@loden/subnet";

/** What a VXLAN network is like, with every default filled in. */
export interface VxlanSettings extends Readonly<BackendOptionsByType["vxlan"]> {
  /** Whether the network has IPv4 subnets. */
  readonly enableIPv4: boolean;
  /** Whether it has IPv6 subnets. */
  readonly enableIPv6: boolean;
  /** Names of the devices by the family of their outer datagrams. */
  readonly deviceNames: VxlanDeviceNames;
  /** The address that peers send to, where it is not the underlay's (1:1 NAT). */
  readonly publicIP?: Address | undefined;
  /** The same for IPv6. */
  readonly publicIPv6?: Address | undefined;
}

/** Names of a host's VXLAN devices by the family of their outer datagrams. */
export interface VxlanDeviceNames {
  /** Of the one that sends over IPv4. */
  readonly ipv4: string;
  /** Of the one that sends over IPv6. */
  readonly ipv6: string;
}

/** The kernel's limit for names of links, in bytes (IFNAMSIZ less the final zero). */
const LONGEST_NAME = 15;

/**
 * Names the VXLAN devices of a network as flannel does: `flannel.1` and `flannel-v6.1` with its prefix.
 *
 * @param vni the network's identifier.
 * @param prefix what the names begin with. Default `loden`.
 * @returns the names; the IPv6 one without hyphen and letter where it would be too long (`loden6.16777215`).
 * @throws {RangeError} when a name is too long all the same.
 */
export function vxlanDeviceNames(vni: number, prefix: string = "loden"): VxlanDeviceNames {
  const long = `${prefix}-v6.${vni}`;
  const names = { ipv4: `${prefix}.${vni}`, ipv6: long.length <= LONGEST_NAME ? long : `${prefix}6.${vni}` };
  if (names.ipv6.length > LONGEST_NAME)
    throw new RangeError(
      `Cannot name VXLAN devices: ${names.ipv6} has more than ${LONGEST_NAME} characters, expected fewer`,
    );
  return names;
}
