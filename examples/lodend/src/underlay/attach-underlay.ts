import type { Underlay } from "@loden/backend";
import type { Address, AddressFamily } from "@loden/ip";
import type { Link, LinkAddress } from "@loden/rtnetlink";
import { ExitCode } from "../exit/exit-codes.ts";
import { LodendError } from "../exit/lodend-error.ts";
import { orderAddresses } from "./order-addresses.ts";

/** What a backend needs of an underlay: sets of address families that serve it, the best first. */
export type UnderlayNeeds = readonly (readonly AddressFamily[])[];

/** The links and addresses of a host, each list asked for once. */
export interface HostLinks {
  readonly links: readonly Link[];
  readonly addresses: readonly LinkAddress[];
}

/** Which interface, and what is known of it already. */
export interface Attachment {
  /** Its name. */
  readonly link: string;
  /** Addresses to keep to while the interface has them; else its best ones are taken. */
  readonly preferred: readonly (Address | undefined)[];
  /** Why it was chosen, in words. */
  readonly reason: string;
}

/**
 * Reads how this host is attached to the network between the hosts by an interface: its MTU, and its addresses of the families that are needed.
 * IPv6 link-local addresses don't count, as a peer could not send to one.
 *
 * @param host its links and addresses.
 * @param attachment which interface.
 * @param needs which families serve.
 * @returns the underlay.
 * @throws {LodendError} with the host code, naming what was looked at, where the interface does not serve.
 */
export function attachUnderlay(host: HostLinks, attachment: Attachment, needs: UnderlayNeeds): Underlay {
  const { link: name, preferred, reason } = attachment;
  const link = host.links.find((candidate) => candidate.name === name);
  if (link === undefined) throw failure(`interface ${name} (${reason}) is gone, expected it to stay`);
  if (link.mtu === 0) throw failure(`interface ${name} (${reason}) has an MTU of 0, expected more`);
  const found = new Map(
    ([4, 6] as const).map((family) => [family, ownAddress(host, name, preferred, family)]),
  );
  const families = needs.find((set) => set.every((family) => found.get(family) !== undefined));
  if (families === undefined) {
    const missing = needs[0]?.find((family) => found.get(family) === undefined);
    throw failure(
      `interface ${name} (${reason}) has no usable IPv${missing} address, expected one; its addresses: ${addressesOf(host, name)}`,
    );
  }
  const [ipv4, ipv6] = ([4, 6] as const).map((family) =>
    families.includes(family) ? found.get(family) : undefined,
  );
  return { link: name, mtu: link.mtu, ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) };
}

function ownAddress(
  host: HostLinks,
  link: string,
  preferred: readonly (Address | undefined)[],
  family: AddressFamily,
): Address | undefined {
  const usable = orderAddresses(addressesOn(host, link), family)
    .map(({ address }) => address)
    .filter((address) => family === 4 || !address.isLinkLocal);
  return usable.find((address) => preferred.some((one) => one?.equals(address))) ?? usable[0];
}

/**
 * Lists the addresses of one link.
 *
 * @param host its links and addresses.
 * @param link which.
 */
export function addressesOn({ addresses }: HostLinks, link: string): LinkAddress[] {
  return addresses.filter((address) => address.link === link);
}

/**
 * Lists the addresses of one link as text.
 *
 * @param host its links and addresses.
 * @param link which.
 */
export function addressesOf(host: HostLinks, link: string): string {
  return (
    addressesOn(host, link)
      .map(({ address }) => address.toString())
      .join(", ") || "none"
  );
}

/**
 * Makes the error that says why no interface serves.
 *
 * @param what in words.
 */
export function failure(what: string): LodendError {
  return new LodendError(ExitCode.host, `Cannot choose the interface between hosts: ${what}`);
}
