// Two hosts with a backend each, and a stranger: what the tests of this package share.
import { parseAddress, parsePrefix, type Address } from "@loden/ip";
import type { Lease } from "@loden/lease";
import {
  bindSocket,
  closeFd,
  constants,
  encodeSocketAddress,
  openSocket,
  receiveFrom,
  sendTo,
} from "@loden/linux";
import { createNetns, type Netns } from "@loden/netns";
import { encodeIcmpEcho, parseIcmp, parseIpv4 } from "@loden/packet";
import { openRtnetlink } from "@loden/rtnetlink";
import { parseNetworkConfig, type NetworkConfig } from "@loden/subnet";
import { openUdpBackend, type UdpBackend, type UdpBackendOptions } from "./index.ts";

/** The overlay of the tests. */
export const network: NetworkConfig = parseNetworkConfig('{"Network":"10.5.0.0/16"}');

/** One of two hosts. */
export interface Host {
  readonly netns: Netns;
  readonly underlay: Address;
  readonly inner: Address;
  readonly lease: Lease;
  readonly backend: UdpBackend;
}

/** What {@link openTwoHosts} makes. */
export interface TwoHosts extends AsyncDisposable {
  readonly a: Host;
  readonly b: Host;
  /** A namespace on the same switch that is no peer: 192.0.2.9. */
  readonly stranger: Netns;
}

/**
 * Makes two hosts that are each other's peers.
 *
 *     host a                                host b                              stranger
 *     10.5.1.1 on lo, loden0 10.5.1.0/32    10.5.2.1 on lo, loden0 10.5.2.0/32
 *     eth0 192.0.2.1 ------ switch (a bridge in a namespace) ------ 192.0.2.2   192.0.2.9
 *
 * @param options settings of both backends.
 */
export async function openTwoHosts(options: Pick<UdpBackendOptions, "workerUrl"> = {}): Promise<TwoHosts> {
  const fixture = new AsyncDisposableStack();
  const bridge = fixture.use(createNetns());
  using rtnetlink = openRtnetlink({ netns: bridge });
  await rtnetlink.links.add({ name: "switch", kind: "bridge" });
  await rtnetlink.links.set("switch", { up: true });
  const plug = async (netns: Netns, number: number): Promise<Address> => {
    const address = parseAddress(`192.0.2.${number}`);
    await rtnetlink.links.add({ name: `port${number}`, kind: "veth", peer: { name: "eth0", netns } });
    await rtnetlink.links.set(`port${number}`, { master: "switch", up: true });
    using inside = openRtnetlink({ netns });
    await inside.links.set("lo", { up: true });
    await inside.addresses.add({ link: "eth0", address, prefixLength: 24 });
    await inside.links.set("eth0", { up: true });
    return address;
  };
  const makeHost = async (number: number): Promise<Host> => {
    const netns = fixture.use(createNetns());
    const underlay = await plug(netns, number);
    const inner = parseAddress(`10.5.${number}.1`);
    using inside = openRtnetlink({ netns });
    await inside.addresses.add({ link: "lo", address: inner, prefixLength: 32 });
    const backend = fixture.use(
      openUdpBackend({ ...options, netns, underlay: { link: "eth0", mtu: 1500, ipv4: underlay } }),
    );
    const lease: Lease = {
      subnet: { ipv4: parsePrefix(`10.5.${number}.0/24`) },
      attributes: backend.attributes,
      expiresAt: undefined,
      revision: "1",
    };
    await backend.join({ lease, network });
    return { netns, underlay, inner, lease, backend };
  };
  const a = await makeHost(1);
  const b = await makeHost(2);
  const stranger = fixture.use(createNetns());
  await plug(stranger, 9);
  await a.backend.apply([b.lease]);
  await b.backend.apply([a.lease]);
  return { a, b, stranger, [Symbol.asyncDispose]: () => fixture.disposeAsync() };
}

/** A socket that closes itself. */
export interface TestSocket extends Disposable {
  /** The descriptor. */
  readonly fd: number;
}

function own(fd: number): TestSocket {
  return { fd, [Symbol.dispose]: () => closeFd(fd) };
}

/** Opens a non-blocking UDP socket in a namespace. */
export function plainUdpSocket(netns: Netns, address: Address, port: number): TestSocket {
  const { AF_INET, SOCK_DGRAM, SOCK_NONBLOCK } = constants;
  const fd = netns.run(() => openSocket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK));
  bindSocket(fd, encodeSocketAddress(address.toBytes(), port));
  return own(fd);
}

/** Opens a UDP socket on the inner address of a host. */
export function udpSocket(host: Host, port: number): TestSocket {
  return plainUdpSocket(host.netns, host.inner, port);
}

/** Opens a raw socket on the inner address of a host. */
export function rawSocket(host: Host, protocol: number): TestSocket {
  const { AF_INET, SOCK_RAW, SOCK_NONBLOCK } = constants;
  const fd = host.netns.run(() => openSocket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, protocol));
  bindSocket(fd, encodeSocketAddress(host.inner.toBytes(), 0));
  return own(fd);
}

/** The next message, or undefined when none has come in time: long for what should come, shorter for what should not. */
export async function received(fd: number, timeoutMs: number = 10_000): Promise<Uint8Array | undefined> {
  const buffer = new Uint8Array(65_536);
  for (const start = performance.now(); performance.now() - start < timeoutMs;) {
    const message = receiveFrom(fd, buffer);
    if (message !== undefined) return buffer.slice(0, message.length);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return undefined;
}

/** Sends one echo request from the inner address of a host; tells whether it is answered in time. */
export async function ping(from: Host, to: Address, timeoutMs?: number): Promise<boolean> {
  using socket = rawSocket(from, 1);
  const request = encodeIcmpEcho({ identifier: 77, sequence: 1 });
  sendTo(socket.fd, request, encodeSocketAddress(to.toBytes(), 0));
  const reply = await received(socket.fd, timeoutMs);
  if (reply === undefined) return false;
  const message = parseIcmp(parseIpv4(reply).payload);
  return message.type === 0 && message.identifier === 77;
}
