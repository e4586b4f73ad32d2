import type { Underlay } from "@loden/backend";
import { createPlainUdpCodec } from "@loden/encap";
import type { Address, AddressFamily } from "@loden/ip";
import type { LeaseAttributes } from "@loden/lease";
import type { NetworkConfig } from "@loden/subnet";
import type { UdpBackendOptions } from "./open-udp-backend.ts";
import { LEAST_IPV6_MTU, OUTER_HEADERS } from "./path-mtu.ts";

/**
 * Says what follows from an underlay: the tunnel's MTU, and what peers have to know.
 *
 * @param underlay the network between hosts. @param options what is published in the place of its addresses. @param network the overlay, once it is known.
 * @throws {RangeError} for an MTU that can't carry the smallest IPv4 packets. @throws {TypeError} for addresses that can't be used.
 */
export function followUnderlay(
  { ipv4, ipv6, mtu }: Underlay,
  { publicIP = ipv4, publicIPv6 = ipv6 }: UdpBackendOptions,
  network: NetworkConfig | undefined,
): { readonly mtu: number; readonly attributes: LeaseAttributes } {
  const attempt = "Cannot use the underlay for the udp backend";
  if (ipv4 === undefined && ipv6 === undefined)
    throw new TypeError(`${attempt}: it has no address, expected an IPv4 or IPv6 address`);
  checkFamily(`${attempt}: its address`, ipv4, 4);
  checkFamily(`${attempt}: its address`, ipv6, 6);
  checkFamily(`${attempt}: the public IP`, publicIP, 4);
  checkFamily(`${attempt}: the public IPv6`, publicIPv6, 6);
  const overhead = OUTER_HEADERS[ipv4 === undefined ? "ipv6" : "ipv4"] + createPlainUdpCodec().overhead;
  if (!Number.isInteger(mtu) || mtu < 68 + overhead || mtu > 65_535) {
    throw new RangeError(`${attempt}: its MTU is ${mtu}, expected ${68 + overhead} to 65535 bytes`);
  }
  return {
    // The kernel takes IPv6 away from a device with less; the datagrams are fragmented then.
    mtu: Math.max(mtu - overhead, network?.ipv6 === undefined ? 0 : LEAST_IPV6_MTU),
    attributes: {
      ...(ipv4 !== undefined && { publicIP }),
      ...(ipv6 !== undefined && { publicIPv6 }),
      backendType: "",
    },
  };
}

function checkFamily(what: string, address: Address | undefined, family: AddressFamily): void {
  if (address === undefined || address.family === family) return;
  throw new TypeError(`${what} is ${address.toString()}, expected an IPv${family} address`);
}
