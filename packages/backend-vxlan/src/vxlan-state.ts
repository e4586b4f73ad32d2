import { leaveOut, type PeerSubnet, type PeerSubnets, type Underlay } from "@loden/backend";
import type { Lease } from "@loden/lease";
import type { DesiredLink, DesiredState, Reach } from "@loden/route";
import type { NewAddress, NewFdbEntry, NewNeighbour, Route } from "@loden/rtnetlink";
import type { Vtep } from "./plan-vteps.ts";
import { parseVtepData } from "./vtep-data.ts";
import type { VxlanSettings } from "./vxlan-settings.ts";

/** What {@link vxlanState} goes by. */
export interface VxlanStateOptions {
  /** The network's settings. */
  readonly settings: Pick<VxlanSettings, "vni" | "port" | "gbp" | "learning" | "directRouting">;
  /** The network between the hosts. */
  readonly underlay: Underlay;
  /** This host's devices. */
  readonly vteps: readonly Vtep[];
  /** This host's lease. */
  readonly lease: Lease;
  /** The peers that say where they are. */
  readonly listed: PeerSubnets;
  /** How their hosts are reached by the routes of this one, by address; looked at for direct routing alone. */
  readonly reach: ReadonlyMap<string, Reach>;
}

/** What the kernel is to hold, and which peers that serves. */
export interface VxlanState {
  readonly state: Required<DesiredState>;
  readonly peers: PeerSubnets;
}

/**
 * Says what the kernel is to hold for a set of leases: the tables of flannel's vxlan backend, entry by entry. Pure.
 *
 *     ip link add loden.1 address MAC mtu 1450 type vxlan id 1 dev eth0 local 192.0.2.1 nolearning
 *     ip address add SUBNET-BASE/32 dev loden.1
 *     ip neighbour replace PEER-BASE lladdr PEER-MAC dev loden.1 nud permanent
 *     bridge fdb replace PEER-MAC dev loden.1 dst PEER-PUBLIC-IP self permanent
 *     ip route replace PEER-SUBNET via PEER-BASE dev loden.1 onlink
 *
 * A neighbour with direct routing has `ip route replace PEER-SUBNET via PEER-PUBLIC-IP` alone. A peer's old hardware address or host is not in the
 * state any more, so nothing of it stays.
 *
 * @param options settings, devices, and the leases.
 * @returns the state, and who is served.
 */
export function vxlanState({
  settings,
  underlay,
  vteps,
  lease,
  listed,
  reach,
}: VxlanStateOptions): VxlanState {
  const neighbours: NewNeighbour[] = [];
  const fdb = new Map<string, NewFdbEntry>();
  const routes: Route[] = [];
  const peers = leaveOut(listed, (subnet) => {
    const { family, prefix, host } = subnet;
    if (settings.directRouting && reach.get(host.toString())?.kind === "neighbour") {
      routes.push({ destination: prefix, gateway: host });
      return undefined;
    }
    const vtep = vteps.find(({ families }) => families.includes(family));
    const entry =
      vtep === undefined ? `this host has no device for IPv${family}` : forwardingEntry(subnet, vtep, fdb);
    if (typeof entry === "string") return entry;
    const { link, mac } = entry;
    neighbours.push({ link, address: prefix.address, mac, state: "permanent" });
    fdb.set(`${link} ${mac}`, entry);
    routes.push({ destination: prefix, gateway: prefix.address, link, onlink: true });
    return undefined;
  });
  const links = vteps.map((vtep) => linkOf(vtep, settings, underlay));
  const addresses = vteps.flatMap((vtep) => addressesOf(vtep, lease));
  return { state: { links, addresses, neighbours, fdb: [...fdb.values()], routes }, peers };
}

/** Where frames to the peer's device go, or why they can't. */
function forwardingEntry(
  { lease: { attributes }, family, host }: PeerSubnet,
  { device, mac: own }: Vtep,
  fdb: ReadonlyMap<string, NewFdbEntry>,
): NewFdbEntry | string {
  let mac: string | undefined;
  try {
    ({ mac } = parseVtepData(family === 4 ? attributes.backendData : attributes.backendV6Data));
  } catch (error) {
    return `its backend data can't be read: ${(error as Error).message}`;
  }
  if (mac === undefined) return "it publishes no hardware address of its VXLAN device";
  if (mac === own) return `its VXLAN device has the hardware address of this host's, ${mac}`;
  const taken = fdb.get(`${device} ${mac}`)?.destination;
  if (taken?.equals(host) === false)
    return `its VXLAN device has the hardware address of that of another peer, ${mac} at ${taken.toString()}`;
  return { link: device, mac, destination: host, state: "permanent", table: "self" };
}

function linkOf(
  { device, local, mac, mtu }: Vtep,
  settings: VxlanStateOptions["settings"],
  underlay: Underlay,
): DesiredLink {
  const { vni, port, gbp, learning } = settings;
  return {
    name: device,
    kind: "vxlan",
    lower: underlay.link,
    mac,
    mtu,
    // Nobody answers router solicitations there.
    addrGenMode: "none",
    vxlan: { id: vni, local, learning, gbp, ...(port > 0 && { port }) },
  };
}

/** The first address of the subnet alone: what is on the device leads nowhere by itself. */
function addressesOf({ device, families }: Vtep, { subnet }: Lease): NewAddress[] {
  return families.flatMap((family) => {
    const own = family === 4 ? subnet.ipv4 : subnet.ipv6;
    if (own === undefined) return [];
    const { address } = own;
    // Nobody can have the same one, and waiting for an answer would keep the address from being used.
    return family === 4
      ? [{ link: device, address, prefixLength: 32 }]
      : [{ link: device, address, prefixLength: 128, duplicateDetection: false }];
  });
}
