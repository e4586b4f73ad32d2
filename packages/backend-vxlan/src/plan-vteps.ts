import type { Underlay } from "@loden/backend";
import type { Address, AddressFamily } from "@loden/ip";
import type { LeaseAttributes } from "@loden/lease";
import type { VxlanSettings } from "./vxlan-settings.ts";
import { formatVtepData } from "./vtep-data.ts";

/** Bytes that VXLAN adds to an inner packet: Ethernet 14, VXLAN 8, UDP 8, and the outer IP header. */
export const OVERHEAD: Readonly<Record<AddressFamily, number>> = { 4: 14 + 8 + 8 + 20, 6: 14 + 8 + 8 + 40 };

/** Smallest MTU of a link that carries a family (RFC 791, RFC 8200). */
const LEAST_MTU: Readonly<Record<AddressFamily, number>> = { 4: 68, 6: 1280 };

/** A VXLAN device of this host, a tunnel's end point. */
export interface Vtep {
  /** The device's name. */
  readonly device: string;
  /** Families of the inner packets that it carries. */
  readonly families: readonly AddressFamily[];
  /** Family of its outer datagrams. */
  readonly outer: AddressFamily;
  /** Outer source address. */
  readonly local: Address;
  /** Hardware address. */
  readonly mac: string;
  /** Largest inner packet, in bytes. */
  readonly mtu: number;
}

/**
 * Says which VXLAN devices this host has: as flannel one for each family of the network, whose outer datagrams are of the same family. Where the
 * underlay lacks a family, one device carries both over the other one, which flannel can't.
 *
 * @param settings the backend's.
 * @param underlay the network between the hosts.
 * @param macs the hardware address of a device by its name.
 * @returns one or two devices, IPv4 first.
 * @throws {TypeError} when the underlay has no address.
 * @throws {RangeError} when its MTU is too small for what is to be carried.
 */
export function planVteps(
  settings: VxlanSettings,
  underlay: Underlay,
  macs: (device: string) => string,
): Vtep[] {
  const { enableIPv4, enableIPv6, deviceNames } = settings;
  const mtu = settings.mtu || underlay.mtu;
  const enabled = ([4, 6] as const).filter((family) => (family === 4 ? enableIPv4 : enableIPv6));
  const vteps: Vtep[] = [];
  for (const outer of [4, 6] as const) {
    const local = outer === 4 ? underlay.ipv4 : underlay.ipv6;
    const families = enabled.filter((family) => outerFamily(underlay, family) === outer);
    if (families.length === 0) continue;
    if (local === undefined)
      throw new TypeError("Cannot use the underlay for the vxlan backend: it has no address, expected one");
    const device = outer === 4 ? deviceNames.ipv4 : deviceNames.ipv6;
    const vtep = { device, families, outer, local, mac: macs(device), mtu: mtu - OVERHEAD[outer] };
    const least = Math.max(...families.map((family) => LEAST_MTU[family]));
    if (!Number.isInteger(mtu) || vtep.mtu < least || mtu > 65_535) {
      throw new RangeError(
        `Cannot use the underlay for the vxlan backend: its MTU is ${mtu}, expected ${least + OVERHEAD[outer]} to 65535 bytes`,
      );
    }
    vteps.push(vtep);
  }
  return vteps;
}

/** The family of the outer datagrams that carry a family: its own where the underlay has it, else the other. */
export function outerFamily(underlay: Underlay, family: AddressFamily): AddressFamily {
  const own = family === 4 ? underlay.ipv4 : underlay.ipv6;
  if (own !== undefined) return family;
  return family === 4 ? 6 : 4;
}

/**
 * Says what this host publishes of its devices, as flannel does.
 *
 * @param settings the backend's.
 * @param underlay the network between the hosts.
 * @param vteps the host's devices.
 * @returns the attributes of its lease.
 */
export function vxlanAttributes(
  { vni, publicIP, publicIPv6 }: Pick<VxlanSettings, "vni" | "publicIP" | "publicIPv6">,
  underlay: Underlay,
  vteps: readonly Vtep[],
): LeaseAttributes {
  const hasOuter = (outer: AddressFamily): boolean => vteps.some((vtep) => vtep.outer === outer);
  const dataOf = (family: AddressFamily): ReturnType<typeof formatVtepData> | undefined => {
    const mac = vteps.find(({ families }) => families.includes(family))?.mac;
    return mac === undefined ? undefined : formatVtepData({ vni, mac });
  };
  const [ipv4, ipv6] = [publicIP ?? underlay.ipv4, publicIPv6 ?? underlay.ipv6];
  const [backendData, backendV6Data] = [dataOf(4), dataOf(6)];
  return {
    ...(ipv4 !== undefined && { publicIP: ipv4 }),
    ...(ipv6 !== undefined && hasOuter(6) && { publicIPv6: ipv6 }),
    backendType: "vxlan",
    ...(backendData !== undefined && { backendData }),
    ...(backendV6Data !== undefined && { backendV6Data }),
  };
}
