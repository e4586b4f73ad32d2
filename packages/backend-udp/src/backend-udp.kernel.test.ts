import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseAddress, type Address } from "@loden/ip";
import { connectSocket, constants, encodeSocketAddress, errno, sendTo, setSocketOption } from "@loden/linux";
import type { Netns } from "@loden/netns";
import { encodeIcmpEcho, encodeIpv4 } from "@loden/packet";
import { openRtnetlink } from "@loden/rtnetlink";
import { openUdpBackend } from "./index.ts";
import {
  network,
  openTwoHosts,
  ping,
  plainUdpSocket,
  rawSocket,
  received,
  udpSocket,
  type Host,
  type TwoHosts,
} from "./two-hosts.ts";

let hosts: TwoHosts;
let a: Host;
let b: Host;

beforeEach(async () => {
  hosts = await openTwoHosts();
  ({ a, b } = hosts);
});

afterEach(() => hosts[Symbol.asyncDispose]());

describe("openUdpBackend() carries packets", () => {
  test("ping crosses both ways when two hosts are peers", async () => {
    expect(await ping(a, b.inner)).toBe(true);
    expect(await ping(b, a.inner)).toBe(true);
    await expect
      .poll(() => a.backend.stats())
      .toMatchObject({ outbound: { packets: 2 }, inbound: { packets: 2 } });
    const { outbound, inbound } = a.backend.stats();
    expect(sum(outbound.dropped) + sum(inbound.dropped)).toBe(0);
  });

  test("the inner packet loses two hops on its way", async () => {
    // A raw socket sees the header; the other one is there so that nothing answers "port unreachable".
    using receiver = udpSocket(b, 7000);
    using sender = udpSocket(a, 7001);
    using raw = rawSocket(b, 17);
    setSocketOption(sender.fd, constants.SOL_IP, constants.IP_TTL, 9);
    sendTo(sender.fd, new Uint8Array([1]), encodeSocketAddress(b.inner.toBytes(), 7000));
    const packet = await received(raw.fd);
    expect(packet?.[8]).toBe(7);
    expect(await received(receiver.fd)).toEqual(new Uint8Array([1]));
  });

  test("large datagrams cross in fragments", async () => {
    using receiver = udpSocket(b, 7000);
    using sender = udpSocket(a, 7001);
    const data = Uint8Array.from({ length: 9000 }, (_, i) => i);
    sendTo(sender.fd, data, encodeSocketAddress(b.inner.toBytes(), 7000));
    expect(await received(receiver.fd)).toEqual(data);
  });

  test("a deleted route comes back", async () => {
    using rtnetlink = openRtnetlink({ netns: a.netns });
    const before = await rtnetlink.routes.list({ protocol: 76 });
    expect(before.map((route) => route.destination.toString())).toEqual(["10.5.0.0/16"]);
    for (const route of before) await rtnetlink.routes.delete(route);
    await expect.poll(() => ping(a, b.inner, 500)).toBe(true);
  });
});

describe("openUdpBackend() follows its underlay", () => {
  test("ping crosses again from another address, once the peer knows it", async () => {
    const ipv4 = parseAddress("192.0.2.51");
    using rtnetlink = openRtnetlink({ netns: a.netns });
    await rtnetlink.addresses.add({ link: "eth0", address: ipv4, prefixLength: 24 });
    expect(await ping(a, b.inner)).toBe(true);
    await a.backend.setUnderlay({ link: "eth0", mtu: 1500, ipv4 });
    await b.backend.apply([{ ...a.lease, attributes: a.backend.attributes }]);
    expect(await ping(a, b.inner)).toBe(true);
    expect(await ping(b, a.inner)).toBe(true);
    expect(a.backend.stats()).toMatchObject({ restarts: 0, outbound: { packets: 3 } });
  });

  test("an address that is not there leaves the old one in use", async () => {
    const nowhere = { link: "eth0", mtu: 1500, ipv4: parseAddress("192.0.2.52") };
    await expect(a.backend.setUnderlay(nowhere)).rejects.toMatchObject({ code: "EADDRNOTAVAIL" });
    expect(a.backend.attributes.publicIP?.toString()).toBe("192.0.2.1");
    expect(await ping(a, b.inner)).toBe(true);
  });

  test("the device and the answers to senders have the MTU of a narrower underlay", async () => {
    await a.backend.setUnderlay({ link: "eth0", mtu: 1300, ipv4: a.underlay });
    expect(a.backend.mtu).toBe(1272);
    using rtnetlink = openRtnetlink({ netns: a.netns });
    const device = a.backend.deviceName ?? "";
    expect((await rtnetlink.links.get(device))?.mtu).toBe(1272);
    await rtnetlink.links.set(device, { mtu: 9000 });
    expect(await errorFor(a, b.inner, { bytes: 1272 })).toBe(errno.EMSGSIZE);
    expect(await ping(a, b.inner)).toBe(true);
  });
});

describe("openUdpBackend() answers senders", () => {
  test("no route gives net unreachable when no peer covers the destination", async () => {
    expect(await errorFor(a, parseAddress("10.5.77.1"))).toBe(errno.ENETUNREACH);
    await expect.poll(() => a.backend.stats().outbound.dropped["noRoute"]).toBe(1);
    expect(a.backend.stats().icmpSent).toBe(1);
  });

  test("TTL 1 gives time exceeded, from the near host", async () => {
    expect(await errorFor(a, b.inner, { ttl: 1 })).toBe(errno.EHOSTUNREACH);
    await expect.poll(() => a.backend.stats().outbound.dropped["ttlExpired"]).toBe(1);
  });

  test("TTL 2 gives time exceeded, from the far host", async () => {
    expect(await errorFor(a, b.inner, { ttl: 2 })).toBe(errno.EHOSTUNREACH);
    await expect.poll(() => b.backend.stats().inbound.dropped["ttlExpired"]).toBe(1);
  });

  test("a packet longer than the tunnel's MTU gives fragmentation needed", async () => {
    using rtnetlink = openRtnetlink({ netns: a.netns });
    await rtnetlink.links.set(a.backend.deviceName ?? "", { mtu: 9000 });
    expect(await errorFor(a, b.inner, { bytes: 3000 })).toBe(errno.EMSGSIZE);
    await expect.poll(() => a.backend.stats().outbound.dropped["tooBig"]).toBe(1);
  });

  test("a peer that leaves is no route any more, and the other way its datagrams are a stranger's", async () => {
    expect(await ping(a, b.inner)).toBe(true);
    await a.backend.apply([]);
    expect(a.backend.stats().peers).toBe(0);
    expect(await errorFor(a, b.inner)).toBe(errno.ENETUNREACH);
    expect(await ping(b, a.inner, 1000)).toBe(false);
    await expect.poll(() => a.backend.stats().inbound.dropped["unknownSender"]).toBe(1);
  });
});

describe("openUdpBackend() takes garbage", () => {
  test("random datagrams of a peer and of a stranger are counted, and packets go on", async () => {
    const datagrams = 2000;
    await flood(hosts.stranger, parseAddress("192.0.2.9"), datagrams);
    await expect.poll(() => seen(a)).toBe(datagrams);
    await flood(b.netns, b.underlay, datagrams);
    await expect.poll(() => seen(a)).toBe(2 * datagrams);
    const { dropped, packets } = a.backend.stats().inbound;
    expect(sum(dropped) + packets).toBe(2 * datagrams);
    expect(dropped["unknownSender"]).toBeGreaterThan(400);
    expect(dropped["foreignSource"]).toBeGreaterThan(200);
    expect(dropped["foreignDestination"]).toBeGreaterThan(100);
    expect(dropped["tooShort"]).toBeGreaterThan(0);
    expect(dropped["badVersion"]).toBeGreaterThan(500);
    expect(a.backend.stats().restarts).toBe(0);
    expect(await ping(b, a.inner)).toBe(true);
  });

  test("peerSource any takes a peer's packets from another address, strict does not", async () => {
    const packet = echoRequest(b.inner, a.inner);
    using socket = plainUdpSocket(hosts.stranger, parseAddress("192.0.2.9"), 0);
    const to = encodeSocketAddress(a.underlay.toBytes(), 8285);
    sendTo(socket.fd, packet, to);
    await expect.poll(() => a.backend.stats().inbound.dropped["unknownSender"]).toBe(1);
    expect(a.backend.stats().inbound.packets).toBe(0);
    await a.backend.close();

    const underlay = { link: "eth0", mtu: 1500, ipv4: a.underlay };
    await using backend = openUdpBackend({ netns: a.netns, underlay, peerSource: "any" });
    await backend.join({ lease: a.lease, network });
    await backend.apply([b.lease]);
    sendTo(socket.fd, packet, to);
    sendTo(socket.fd, echoRequest(parseAddress("10.5.3.1"), a.inner), to);
    await expect
      .poll(() => backend.stats().inbound)
      .toMatchObject({ packets: 1, dropped: { foreignSource: 1 } });
  });
});

/** Sends a UDP datagram from a host's inner address and gives the error that ICMP brings back, or 0 when none comes. */
async function errorFor(
  from: Host,
  to: Address,
  options: { ttl?: number; bytes?: number } = {},
): Promise<number> {
  using socket = udpSocket(from, 0);
  setSocketOption(socket.fd, constants.SOL_IP, constants.IP_RECVERR, 1);
  setSocketOption(socket.fd, constants.SOL_IP, constants.IP_MTU_DISCOVER, 2);
  if (options.ttl !== undefined) setSocketOption(socket.fd, constants.SOL_IP, constants.IP_TTL, options.ttl);
  connectSocket(socket.fd, encodeSocketAddress(to.toBytes(), 9));
  sendTo(socket.fd, new Uint8Array(options.bytes ?? 8));
  try {
    await received(socket.fd);
    return 0;
  } catch (error) {
    return (error as { errno: number }).errno;
  }
}

/** Sends random datagrams to host a, every other one with the looks of a packet, so that the later checks have work too. */
async function flood(netns: Netns, from: Address, datagrams: number): Promise<void> {
  using socket = plainUdpSocket(netns, from, 0);
  const to = encodeSocketAddress(a.underlay.toBytes(), 8285);
  const before = seen(a);
  // One ahead, until the neighbour's hardware address is known: few datagrams may wait for that.
  sendTo(socket.fd, new Uint8Array(1), to);
  await until(() => seen(a) > before);
  let seed = 42;
  const random = (below: number): number => (seed = (Math.imul(seed, 48_271) >>> 0) % 0x7fff_ffff) % below;
  for (let i = 1; i < datagrams; i++) {
    const data = Uint8Array.from({ length: random(1400) }, () => random(256));
    if (i % 2 === 0 && data.length >= 20) {
      data.set([0x45, 0, data.length >> 8, data.length & 255]);
      data.set(i % 4 === 0 ? b.inner.toBytes() : [10, 9, 9, 9], 12);
      data.set([10, 5, random(3), 1], 16);
    }
    sendTo(socket.fd, data, to);
    // What the socket's buffer does is not what is tested, so never more than 200 at once.
    if (i % 200 === 0) await until(() => seen(a) >= before + i);
  }
}

function echoRequest(source: Address, destination: Address): Uint8Array {
  return encodeIpv4({
    source: source.toNumber(),
    destination: destination.toNumber(),
    protocol: 1,
    payload: encodeIcmpEcho({ identifier: 1, sequence: 1 }),
  });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}

function seen(host: Host): number {
  const { packets, dropped } = host.backend.stats().inbound;
  return packets + sum(dropped);
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
