import type { Address } from "@loden/ip";
import { type NeighbourMessage, NeighbourState } from "@loden/netlink";
import { formatHardwareAddress, parseHardwareAddress } from "../links/hardware-address.ts";

/** How long an entry stays, in the words of `bridge fdb`: for good, until the device forgets it, or learnt and ageing. */
export type FdbState = "permanent" | "static" | "dynamic";

/** An entry for a forwarding table: where frames to a MAC address go. */
export interface NewFdbEntry {
  /** Name of the device, or of the bridge's port behind which the address is. */
  readonly link: string;
  /** MAC address as `02:42:ac:11:00:02`; `00:00:00:00:00:00` stands for all that have no entry. */
  readonly mac: string;
  /** VXLAN: IP address of the far end. */
  readonly destination?: Address | undefined;
  /** VXLAN: UDP port of the far end; the device's own without it. */
  readonly port?: number | undefined;
  /** VXLAN: network identifier; the device's own without it. */
  readonly vni?: number | undefined;
  /** VXLAN: name of the link that leads to the far end; as routed without it. */
  readonly via?: string | undefined;
  /** Bridge: VLAN identifier. */
  readonly vlan?: number | undefined;
  /** Default `permanent`. */
  readonly state?: FdbState | undefined;
  /** Whose table: that of the device itself, or of the bridge it is a port of. Default `self`. */
  readonly table?: "self" | "master" | undefined;
}

/** An entry as the kernel lists it. */
export interface FdbEntry extends NewFdbEntry {
  /** How long it stays. */
  readonly state: FdbState;
  /** Whose table it is in. */
  readonly table: "self" | "master";
  /** Index of the link. */
  readonly linkIndex: number;
}

const AF_BRIDGE = 7;
const SELF = 0x02;
const MASTER = 0x04;

/** State bits as `bridge fdb` sends them. */
const stateBits: Readonly<Record<FdbState, number>> = {
  permanent: NeighbourState.permanent,
  static: NeighbourState.noArp | NeighbourState.reachable,
  dynamic: NeighbourState.reachable,
};

/** The message for an entry; `indexOf` gives the index of a link that is there. */
export function fdbMessage(entry: NewFdbEntry, indexOf: (name: string) => number): NeighbourMessage {
  const { destination, port, vni, via, vlan, state = "permanent", table = "self" } = entry;
  return {
    family: AF_BRIDGE,
    interfaceIndex: indexOf(entry.link),
    state: stateBits[state],
    flags: table === "self" ? SELF : MASTER,
    hardwareAddress: parseHardwareAddress(entry.mac),
    ...(destination && { destination }),
    ...(port !== undefined && { port }),
    ...(vni !== undefined && { vni }),
    ...(via !== undefined && { lowerIndex: indexOf(via) }),
    ...(vlan !== undefined && { vlan }),
  };
}

/** The entry that a message tells of; `undefined` for a neighbour, and for what has no MAC address. */
export function fdbEntryOf(
  message: NeighbourMessage,
  nameOf: (index: number) => string | undefined,
): FdbEntry | undefined {
  const { hardwareAddress, destination, port, vni, lowerIndex, vlan, state = 0, flags = 0 } = message;
  if (message.family !== AF_BRIDGE || hardwareAddress?.length !== 6) return undefined;
  const via = lowerIndex === undefined ? undefined : nameOf(lowerIndex);
  return {
    link: nameOf(message.interfaceIndex) ?? "",
    linkIndex: message.interfaceIndex,
    mac: formatHardwareAddress(hardwareAddress),
    ...(destination && { destination }),
    ...(port !== undefined && { port }),
    ...(vni !== undefined && { vni }),
    ...(via !== undefined && { via }),
    ...(vlan !== undefined && { vlan }),
    state:
      state & NeighbourState.permanent ? "permanent" : state & NeighbourState.noArp ? "static" : "dynamic",
    table: flags & SELF ? "self" : "master",
  };
}
