// Two hosts with a backend each, and a stranger: what the tests of this package share.
import { writeFileSync } from "node:fs";
import type { Underlay } from "@loden/backend";
import { lacksTcx } from "@loden/bpf/testing";
import { parseAddress, parsePrefix, type Address, type AddressFamily, type Prefix } from "@loden/ip";
import type { Lease } from "@loden/lease";
import { setLinkFeatures } from "@loden/linux";
import { createNetns, type Netns } from "@loden/netns";
import { openRtnetlink } from "@loden/rtnetlink";
import { untilRunning } from "@loden/rtnetlink/testing";
import { parseNetworkConfig, type NetworkConfig } from "@loden/subnet";
import { ping } from "./host-sockets.fixture.ts";
import { openUdpBackend, type UdpBackend, type UdpBackendOptions } from "./index.ts";

/** The overlay of the tests: 10.5.0.0/16, fd00:5::/48 or both. */
export function networkOf(families: readonly AddressFamily[]): NetworkConfig {
  const ipv4 = families.includes(4) ? { Network: "10.5.0.0/16" } : { EnableIPv4: false };
  const ipv6 = families.includes(6) && { EnableIPv6: true, IPv6Network: "fd00:5::/48" };
  return parseNetworkConfig(JSON.stringify({ ...ipv4, ...ipv6 }));
}

/** The IPv4 overlay of the tests. */
export const network: NetworkConfig = networkOf([4]);

/** What the overlay carries, and what carries it. */
export interface Families {
  readonly inner: AddressFamily;
  readonly outer: AddressFamily;
}

/** Every combination, for `describe.each`. */
export const allFamilies: readonly Families[] = [
  { inner: 4, outer: 4 },
  { inner: 6, outer: 4 },
  { inner: 4, outer: 6 },
  { inner: 6, outer: 6 },
];

/** Who carries packets between the hosts. */
export type Carrier =
  /** The pumps alone. */
  | "pump"
  /** The kernel, over devices that hand packets over whole. */
  | "whole"
  /** The kernel, over devices that send finished packets and gather what they receive: bulk is received by the pumps. */
  | "finished";

/** All that this machine has, for `describe.each`. */
export const carriers: readonly Carrier[] = lacksTcx ? ["pump"] : ["pump", "whole", "finished"];

/** What the overlay carries, and who does. */
export interface Way extends Families {
  readonly carrier: Carrier;
}

/** Every combination that this machine has, for `describe.each`: the kernel carries IPv4 over IPv4. */
export const allWays: readonly Way[] = [
  ...allFamilies.map((families) => ({ ...families, carrier: "pump" as const })),
  ...carriers
    .filter((carrier) => carrier !== "pump")
    .map((carrier) => ({ inner: 4, outer: 4, carrier }) as const),
];

/** Settings of the hosts, IPv4 over IPv4 and the pumps by default. */
export interface HostsOptions extends Partial<Way>, Pick<UdpBackendOptions, "workerUrl" | "queues"> {
  /** MTU of the underlay's devices. Default 1500. */
  readonly underlayMtu?: number;
}

/** A host with a backend that has joined. */
export interface Host {
  readonly netns: Netns;
  /** Its first address on the underlay. */
  readonly underlay: Address;
  /** Its first address in the overlay. */
  readonly inner: Address;
  readonly lease: Lease;
  readonly backend: UdpBackend;
}

/** What {@link openTwoHosts} makes. */
export interface TwoHosts extends AsyncDisposable {
  readonly a: Host;
  readonly b: Host;
  readonly network: NetworkConfig;
  /** A namespace on the same switch that is no peer: 192.0.2.9. */
  readonly stranger: Netns;
  /** Its address. */
  readonly strangerAddress: Address;
}

/** The subnet of a host in the overlay of the tests: 10.5.N.0/24 or fd00:5:0:N::/64. */
export function subnetOf(family: AddressFamily, number: number): Prefix {
  return parsePrefix(family === 4 ? `10.5.${number}.0/24` : `fd00:5:0:${number}::/64`);
}

/** An address in that subnet: 10.5.N.1 or fd00:5:0:N::1. */
export function innerAddress(family: AddressFamily, number: number): Address {
  return subnetOf(family, number).address.plus(1);
}

/** An address on the switch: 192.0.2.N or 2001:db8::N. */
export function outerAddress(family: AddressFamily, number: number): Address {
  return parseAddress(family === 4 ? `192.0.2.${number}` : `2001:db8::${number}`);
}

/**
 * Makes two hosts that are each other's peers.
 *
 *     host a                                host b                              stranger
 *     10.5.1.1 on lo, loden0 10.5.1.0/32    10.5.2.1 on lo, loden0 10.5.2.0/32
 *     eth0 192.0.2.1 ------ switch (a bridge in a namespace) ------ 192.0.2.2   192.0.2.9
 *
 * @param options families and settings of both hosts.
 */
export async function openTwoHosts(options: HostsOptions = {}): Promise<TwoHosts> {
  const { inner = 4, outer = 4, underlayMtu } = options;
  const fixture = new AsyncDisposableStack();
  const plug = await openSwitch(fixture, underlayMtu);
  const [a, b] = await openPeers(fixture, (number) => plug(number, [outer]), options);
  const { netns: stranger } = await plug(9, [outer]);
  return {
    a,
    b,
    stranger,
    strangerAddress: outerAddress(outer, 9),
    network: networkOf([inner]),
    [Symbol.asyncDispose]: () => fixture.disposeAsync(),
  };
}

/** A namespace on an underlay. */
export interface Place {
  readonly netns: Netns;
  readonly underlay: Underlay;
}

/**
 * Makes a switch (a bridge in a namespace).
 *
 * @param fixture owns all that is made. @param mtu of all devices.
 * @returns makes a namespace on it, with addresses of the families.
 */
export async function openSwitch(
  fixture: AsyncDisposableStack,
  mtu: number = 1500,
): Promise<(number: number, families: readonly AddressFamily[]) => Promise<Place>> {
  const bridge = fixture.use(createNetns());
  using rtnetlink = openRtnetlink({ netns: bridge });
  await rtnetlink.links.add({ name: "switch", kind: "bridge", mtu });
  await rtnetlink.links.set("switch", { up: true });
  return async (number, families) => {
    const netns = fixture.use(createNetns());
    using ports = openRtnetlink({ netns: bridge });
    await ports.links.add({ name: `port${number}`, kind: "veth", mtu, peer: { name: "eth0", netns } });
    await ports.links.set(`port${number}`, { master: "switch", up: true });
    const addresses = families.map((family) => outerAddress(family, number));
    for (const address of addresses)
      await setUpLink(netns, { link: "eth0", mtu, address, prefixLength: address.family === 4 ? 24 : 64 });
    // Else the first question for a neighbour is lost, and asked again a second later.
    await untilRunning(ports, `port${number}`);
    return { netns, underlay: underlayAt(mtu, addresses) };
  };
}

function underlayAt(mtu: number, addresses: readonly Address[]): Underlay {
  const [ipv4, ipv6] = ([4, 6] as const).map((own) => addresses.find(({ family }) => family === own));
  return { link: "eth0", mtu, ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) };
}

/**
 * Makes two hosts that are each other's peers, with two routers between them whose common link takes less than the hosts' own ones.
 *
 *     host a eth0 1500 --- router 1 --- 1400 --- router 2 --- eth0 1500 host b
 *
 * @param options families and settings of both hosts, and the MTU between the routers.
 */
export async function openDistantHosts(
  options: HostsOptions & { readonly hopMtu: number },
): Promise<Pick<TwoHosts, "a" | "b" | typeof Symbol.asyncDispose>> {
  const { outer = 4, hopMtu } = options;
  const prefixLength = outer === 4 ? 24 : 64;
  const at = (net: number, host: number): Address =>
    parseAddress(outer === 4 ? `192.0.${net}.${host}` : `2001:db8:0:${net}::${host}`);
  const everywhere = parsePrefix(outer === 4 ? "0.0.0.0/0" : "::/0");
  const fixture = new AsyncDisposableStack();
  const routers = [fixture.use(createNetns()), fixture.use(createNetns())] as const;
  using first = openRtnetlink({ netns: routers[0] });
  using second = openRtnetlink({ netns: routers[1] });
  await first.links.add({ name: "hop", kind: "veth", peer: { name: "hop", netns: routers[1] } });
  for (const [i, netns] of routers.entries()) {
    await setUpLink(netns, { link: "hop", mtu: hopMtu, address: at(3, i + 1), prefixLength });
    for (const path of ["ipv4/ip_forward", "ipv6/conf/all/forwarding"])
      netns.run(() => writeFileSync(`/proc/sys/net/${path}`, "1"));
  }
  const wire = async (number: number): Promise<Place> => {
    const netns = fixture.use(createNetns());
    const [router, side] = number === 1 ? [routers[0], first] : [routers[1], second];
    const address = at(number, 1);
    await side.links.add({ name: "host", kind: "veth", peer: { name: "eth0", netns } });
    await setUpLink(router, { link: "host", mtu: 1500, address: at(number, 2), prefixLength });
    await setUpLink(netns, { link: "eth0", mtu: 1500, address, prefixLength });
    await untilRunning(side, "host", "hop");
    using inside = openRtnetlink({ netns });
    await inside.routes.add({ destination: everywhere, gateway: at(number, 2) });
    await side.routes.add({ destination: everywhere, gateway: at(3, 3 - number) });
    return { netns, underlay: underlayAt(1500, [address]) };
  };
  const [a, b] = await openPeers(fixture, wire, options);
  // Routers drop the first packets while they look for their neighbours.
  while (!(await ping(a, b.inner, 200)));
  return { a, b, [Symbol.asyncDispose]: () => fixture.disposeAsync() };
}

async function openPeers(
  fixture: AsyncDisposableStack,
  connect: (number: number) => Promise<Place>,
  { inner = 4, ...settings }: HostsOptions,
): Promise<readonly [Host, Host]> {
  const a = await openHost(fixture, await connect(1), { number: 1, inner: [inner], ...settings });
  const b = await openHost(fixture, await connect(2), { number: 2, inner: [inner], ...settings });
  await a.backend.apply([b.lease]);
  await b.backend.apply([a.lease]);
  return [a, b];
}

/**
 * Makes a host: containers' addresses on its loopback device, and a backend that has joined and knows no peers.
 *
 * @param fixture owns all that is made. @param place where. @param options the number of its subnet, and the overlay's families.
 */
export async function openHost(
  fixture: AsyncDisposableStack,
  { netns, underlay }: Place,
  options: { number: number; inner: readonly AddressFamily[] } & Pick<
    HostsOptions,
    "workerUrl" | "queues" | "carrier"
  >,
): Promise<Host> {
  const { number, inner, workerUrl, queues, carrier = "pump" } = options;
  const kernelPath = carrier === "pump" ? "off" : "auto";
  if (carrier === "finished") netns.run(() => setLinkFeatures(underlay.link, finishedAndGathered));
  using inside = openRtnetlink({ netns });
  for (const family of inner) {
    const prefixLength = family === 4 ? 32 : 128;
    await inside.addresses.add({ link: "lo", address: innerAddress(family, number), prefixLength });
  }
  const backend = fixture.use(openUdpBackend({ workerUrl, queues, kernelPath, netns, underlay }));
  const subnet = Object.fromEntries(inner.map((family) => [`ipv${family}`, subnetOf(family, number)]));
  const lease: Lease = { subnet, attributes: backend.attributes, expiresAt: undefined, revision: "1" };
  await backend.join({ lease, network: networkOf(inner) });
  if (backend.kernelPath.on !== (carrier !== "pump"))
    throw new Error(`The kernel path is not as it should be: ${JSON.stringify(backend.kernelPath)}`);
  return {
    netns,
    underlay: (underlay.ipv4 ?? underlay.ipv6) as Address,
    inner: innerAddress(inner[0] as AddressFamily, number),
    // What its kernel takes is known by now.
    lease: { ...lease, attributes: backend.attributes },
    backend,
  };
}

/** As a card without offloads has them, but for GRO. */
export function finishedAndGathered(feature: string): boolean | undefined {
  if (feature === "rx-gro") return true;
  return /^tx-.*(?:segmentation|checksum)/.test(feature) ? false : undefined;
}

async function setUpLink(
  netns: Netns,
  { link, mtu, ...address }: { link: string; mtu: number; address: Address; prefixLength: number },
): Promise<void> {
  using rtnetlink = openRtnetlink({ netns });
  await rtnetlink.links.set("lo", { up: true });
  await rtnetlink.addresses.add({ link, ...address, duplicateDetection: false });
  // Routers ask for neighbours with such an address. The kernel's own has to be tried out first, for a second or two.
  if (address.address.family === 6) {
    const linkLocal = parseAddress("fe80::").plus(Number(address.address.value & 0xffffn));
    await rtnetlink.addresses.add({ link, address: linkLocal, prefixLength: 64, duplicateDetection: false });
  }
  await rtnetlink.links.set(link, { mtu, up: true });
}
