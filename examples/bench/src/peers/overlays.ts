import { addressFromNumber, type Address, parseAddress, parsePrefix, type Prefix } from "@loden/ip";
import type { Side } from "../dataplane/addresses.ts";
import type { Spread } from "./send-spread.ts";

/** An overlay of which several exist side by side. */
export interface Overlay {
  readonly network: Prefix;
  /** Its UDP port. */
  readonly port: number;
  /** The first of the 65,536 subnets of length 24 that its peers share. */
  readonly first: number;
  /** The addresses of the two hosts in it. */
  readonly hosts: Readonly<Record<Side, Address>>;
}

/**
 * An address in each of the first of an overlay's 65,536 subnets, for `sendSpread`.
 *
 * @param number which overlay. @param subnets how many of them; all by default.
 */
export function spreadOf(number: number, subnets: number = 65_536): Spread {
  return { first: overlayOf(number).first + 7, step: 256, addresses: subnets };
}

/** The network that the other peers' endpoints are in, routed to the other host, which drops what is not for it. */
export const endpoints: Prefix = parsePrefix("198.18.0.0/15");
/** The first of its addresses, as a number. */
export const endpointsFrom: number = endpoints.address.toNumber();

/** A router between the hosts that nobody is: what is routed to it ends there. */
export const router: Address = parseAddress("192.0.2.254");

/** The overlay of a number: 16.0.0.0/7, 18.0.0.0/7 and so on, all of it within the run's own namespaces. */
export function overlayOf(number: number): Overlay {
  const first = ((16 + 2 * number) << 24) >>> 0;
  const host = (subnet: number): Address => addressFromNumber(first + 0x01ff_0000 + subnet * 256);
  return {
    network: parsePrefix(`${addressFromNumber(first).toString()}/7`),
    port: 8300 + number,
    first,
    hosts: { left: host(1), right: host(2) },
  };
}
