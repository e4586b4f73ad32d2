import type { Address } from "@loden/ip";
import { addressFamilyNumber, addressFamilyOf, type NeighbourMessage, NeighbourState } from "@loden/netlink";
import { formatHardwareAddress, parseHardwareAddress } from "../links/hardware-address.ts";

/** What the kernel believes of a neighbour (RFC 4861 and linux/neighbour.h). */
export type NeighbourStateName = "none" | keyof typeof NeighbourState;

/** A neighbour to enter into the table. */
export interface NewNeighbour {
  /** Name of the link. */
  readonly link: string;
  /** Its IP address. */
  readonly address: Address;
  /** MAC address as `02:42:ac:11:00:02`; none for a proxy entry. */
  readonly mac?: string | undefined;
  /** `permanent` (never asked, never forgotten) without it. */
  readonly state?: NeighbourStateName | undefined;
  /** Answer for the address on that link (proxy ARP or NDP) instead. Default false. */
  readonly proxy?: boolean | undefined;
}

/** A neighbour as the kernel lists it. */
export interface Neighbour extends NewNeighbour {
  /** What the kernel believes of it now. */
  readonly state: NeighbourStateName;
  /** Index of the link. */
  readonly linkIndex: number;
}

const PROXY = 0x08;

/** The message for a neighbour on the link with that index. */
export function neighbourMessage(neighbour: NewNeighbour, interfaceIndex: number): NeighbourMessage {
  const { address, mac, state = "permanent", proxy } = neighbour;
  return {
    family: addressFamilyNumber(address.family),
    interfaceIndex,
    destination: address,
    state: proxy || state === "none" ? 0 : NeighbourState[state],
    flags: proxy ? PROXY : 0,
    ...(mac !== undefined && { hardwareAddress: parseHardwareAddress(mac) }),
  };
}

/** The neighbour that a message tells of; `undefined` for a bridge's entries, which have no address. */
export function neighbourOf(message: NeighbourMessage, link: string): Neighbour | undefined {
  const { destination, hardwareAddress, state = 0, flags = 0 } = message;
  if (destination === undefined || addressFamilyOf(message.family) === undefined) return undefined;
  return {
    link,
    linkIndex: message.interfaceIndex,
    address: destination,
    ...(hardwareAddress && { mac: formatHardwareAddress(hardwareAddress) }),
    state: names.find((name) => state & NeighbourState[name]) ?? "none",
    ...(flags & PROXY && { proxy: true }),
  };
}

const names = Object.keys(NeighbourState) as (keyof typeof NeighbourState)[];
