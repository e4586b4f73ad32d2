import { leaveOut, type PeerSubnet, type PeerSubnets, type SkippedPeer, type Underlay } from "@loden/backend";
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
  /** Peers that are served, as flannel does, and which say something by which packets for them can't arrive. */
  readonly doubts: readonly SkippedPeer[];
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
  const doubts: SkippedPeer[] = [];
  const isDirect = ({ host }: PeerSubnet): boolean =>
    settings.directRouting && reach.get(host.toString())?.kind === "neighbour";
  const ends = new Map(
    listed.subnets
      .filter((subnet) => !isDirect(subnet))
      .map((subnet) => [subnet, farEnd(subnet, vteps)] as const),
  );
  const holders = holdersOf(ends);
  const peers = leaveOut(listed, (subnet) => {
    const { prefix, host } = subnet;
    const end = ends.get(subnet);
    if (end === undefined) {
      routes.push({ destination: prefix, gateway: host });
      return undefined;
    }
    if (typeof end === "string") return end;
    const { device: link, mac, vni } = end;
    const holder = holders.get(`${link} ${mac}`) ?? subnet;
    if (!holder.host.equals(host))
      return `its VXLAN device has the hardware address of that of another peer, ${mac} at ${holder.host.toString()}`;
    neighbours.push({ link, address: prefix.address, mac, state: "permanent" });
    fdb.set(`${link} ${mac}`, { link, mac, destination: host, state: "permanent", table: "self" });
    routes.push({ destination: prefix, gateway: prefix.address, link, onlink: true });
    if (vni !== undefined && vni !== settings.vni) {
      const reason = `its VXLAN device has the VNI ${vni}, expected ${settings.vni}, which this host's has`;
      doubts.push({ subnet: prefix.toString(), reason });
    }
    return undefined;
  });
  const links = vteps.map((vtep) => linkOf(vtep, settings, underlay));
  const addresses = vteps.flatMap((vtep) => addressesOf(vtep, lease));
  return { state: { links, addresses, neighbours, fdb: [...fdb.values()], routes }, peers, doubts };
}

/** A peer's device, and the one of this host that leads there. */
interface FarEnd {
  readonly device: string;
  readonly mac: string;
  readonly vni: number | undefined;
}

/** The device that frames for a peer's subnet go to, or why there is none. */
function farEnd({ lease: { attributes }, family }: PeerSubnet, vteps: readonly Vtep[]): FarEnd | string {
  const vtep = vteps.find(({ families }) => families.includes(family));
  if (vtep === undefined) return `this host has no device for IPv${family}`;
  const { device, mac: own } = vtep;
  try {
    const { mac, vni } = parseVtepData(family === 4 ? attributes.backendData : attributes.backendV6Data);
    if (mac === undefined) return "it publishes no hardware address of its VXLAN device";
    if (mac === own) return `its VXLAN device has the hardware address of this host's, ${mac}`;
    return { device, mac, vni };
  } catch (error) {
    return `its backend data can't be read: ${(error as Error).message}`;
  }
}

/**
 * Whose each hardware address is, by device and address. Of two hosts that publish the same one, the lease that expires last was written last: a host that comes back
 * with another address and another subnet has its device still, and its old lease for up to a day.
 */
function holdersOf(ends: ReadonlyMap<PeerSubnet, FarEnd | string>): Map<string, PeerSubnet> {
  const holders = new Map<string, PeerSubnet>();
  const expiry = ({ lease }: PeerSubnet): number => lease.expiresAt ?? 0;
  for (const [subnet, end] of ends) {
    if (typeof end === "string") continue;
    const key = `${end.device} ${end.mac}`;
    const known = holders.get(key);
    if (known === undefined || expiry(subnet) > expiry(known)) holders.set(key, subnet);
  }
  return holders;
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
