import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { BackendEvent, Underlay } from "@loden/backend";
import { parseAddress, type Address } from "@loden/ip";
import { encodeSocketAddress, errno, sendTo } from "@loden/linux";
import type { Netns } from "@loden/netns";
import { openRtnetlink } from "@loden/rtnetlink";
import { openUdpBackend } from "./index.ts";
import {
  echoRequest,
  errorFor,
  packetSocket,
  ping,
  plainUdpSocket,
  received,
  setHopLimit,
  udpSocket,
} from "./host-sockets.fixture.ts";
import {
  allWays,
  innerAddress,
  openTwoHosts,
  outerAddress,
  type Host,
  type TwoHosts,
} from "./two-hosts.fixture.ts";

let hosts: TwoHosts;
let a: Host;
let b: Host;

describe.each(allWays)("IPv$inner over IPv$outer by $carrier", ({ inner, outer, carrier }) => {
  const headers = { inner: inner === 4 ? 28 : 48, outer: outer === 4 ? 28 : 48 };

  beforeEach(async () => {
    hosts = await openTwoHosts({ inner, outer, carrier });
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
      using receiver = udpSocket(b, 7000);
      using sender = udpSocket(a, 7001);
      using all = packetSocket(b);
      setHopLimit(sender, b.inner, 9);
      sendTo(sender.fd, new Uint8Array([1]), encodeSocketAddress(b.inner.toBytes(), 7000));
      const source = inner === 4 ? 12 : 8;
      const isFromA = (packet: Uint8Array): boolean =>
        Buffer.compare(packet.subarray(source, source + a.inner.toBytes().length), a.inner.toBytes()) === 0;
      let packet = await received(all.fd);
      while (packet !== undefined && !isFromA(packet)) packet = await received(all.fd);
      expect(packet?.[inner === 4 ? 8 : 7]).toBe(7);
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
      expect(before.map((route) => route.destination.toString())).toEqual([
        String(hosts.network[`ipv${inner}`]?.network),
      ]);
      for (const route of before) await rtnetlink.routes.delete(route);
      await expect.poll(() => ping(a, b.inner, 500)).toBe(true);
    });

    test("a device that is switched off, and an address that is deleted, come back", async () => {
      using rtnetlink = openRtnetlink({ netns: a.netns });
      const link = a.backend.deviceName ?? "";
      const addresses = async (): Promise<string[]> =>
        (await rtnetlink.addresses.list({ link })).map(({ address }) => address.toString());
      const before = await addresses();
      expect(before).toHaveLength(1);
      for (const address of await rtnetlink.addresses.list({ link }))
        await rtnetlink.addresses.delete(address);
      await expect.poll(addresses).toEqual(before);
      await rtnetlink.links.set(link, { up: false });
      await expect.poll(() => ping(a, b.inner, 500)).toBe(true);
      expect(await addresses()).toEqual(before);
    });
  });

  describe("openUdpBackend() follows its underlay", () => {
    test("ping crosses again from another address, once the peer knows it", async () => {
      const address = outerAddress(outer, 51);
      using rtnetlink = openRtnetlink({ netns: a.netns });
      const prefixLength = outer === 4 ? 24 : 64;
      await rtnetlink.addresses.add({ link: "eth0", address, prefixLength, duplicateDetection: false });
      expect(await ping(a, b.inner)).toBe(true);
      await a.backend.setUnderlay(underlayAt(address));
      await b.backend.apply([{ ...a.lease, attributes: a.backend.attributes }]);
      expect(await ping(a, b.inner)).toBe(true);
      expect(await ping(b, a.inner)).toBe(true);
      // A pump counts a packet once it is sent.
      await expect.poll(() => a.backend.stats()).toMatchObject({ restarts: 0, outbound: { packets: 3 } });
    });

    test("another address is taken at once while packets keep coming", async () => {
      const address = outerAddress(outer, 51);
      using rtnetlink = openRtnetlink({ netns: a.netns });
      const prefixLength = outer === 4 ? 24 : 64;
      await rtnetlink.addresses.add({ link: "eth0", address, prefixLength, duplicateDetection: false });
      using sender = udpSocket(a, 7001);
      const to = encodeSocketAddress(b.inner.toBytes(), 7000);
      let sent = 0;
      const steady = setInterval(() => {
        sendTo(sender.fd, new Uint8Array([1]), to);
        sent++;
      }, 2);
      try {
        await a.backend.setUnderlay(underlayAt(address));
      } finally {
        clearInterval(steady);
      }
      // A pump that first moved what comes would tell that it runs after the 4,096 turns of a burst.
      expect(sent).toBeLessThan(4_096);
    });

    test("an address that is not there leaves the old one in use", async () => {
      const nowhere = underlayAt(outerAddress(outer, 52));
      await expect(a.backend.setUnderlay(nowhere)).rejects.toMatchObject({ code: "EADDRNOTAVAIL" });
      const { publicIP, publicIPv6 } = a.backend.attributes;
      expect(outer === 4 ? publicIP : publicIPv6).toEqual(a.underlay);
      expect(await ping(a, b.inner)).toBe(true);
    });

    test("the device and the answers to senders have the MTU of a narrower underlay", async () => {
      await a.backend.setUnderlay({ ...underlayAt(a.underlay), mtu: 1400 });
      const mtu = 1400 - headers.outer;
      expect(a.backend.mtu).toBe(mtu);
      using rtnetlink = openRtnetlink({ netns: a.netns });
      const device = a.backend.deviceName ?? "";
      expect((await rtnetlink.links.get(device))?.mtu).toBe(mtu);
      await rtnetlink.links.set(device, { mtu: 9000 });
      expect(await errorFor(a, b.inner, { bytes: mtu - headers.inner + 1 })).toBe(errno.EMSGSIZE);
      expect(await ping(a, b.inner)).toBe(true);
    });
  });

  describe("openUdpBackend() answers senders", () => {
    test("no route gives net unreachable when no peer covers the destination", async () => {
      expect(await errorFor(a, innerAddress(inner, 77))).toBe(errno.ENETUNREACH);
      await expect.poll(() => a.backend.stats().outbound.dropped["noRoute"]).toBe(1);
      expect(a.backend.stats().icmpSent).toBe(1);
    });

    test("TTL 1 gives time exceeded, from the near host", async () => {
      expect(await errorFor(a, b.inner, { hops: 1 })).toBe(errno.EHOSTUNREACH);
      await expect.poll(() => a.backend.stats().outbound.dropped["ttlExpired"]).toBe(1);
    });

    test("TTL 2 gives time exceeded, from the far host", async () => {
      expect(await errorFor(a, b.inner, { hops: 2 })).toBe(errno.EHOSTUNREACH);
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
      await flood(hosts.stranger, hosts.strangerAddress, datagrams);
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

    test("peerSource any takes a peer's packets from another address; strict does not, and says so once", async () => {
      const packet = echoRequest(b.inner, a.inner);
      using socket = plainUdpSocket(hosts.stranger, hosts.strangerAddress, 0);
      using other = plainUdpSocket(hosts.stranger, hosts.strangerAddress, 0);
      const to = encodeSocketAddress(a.underlay.toBytes(), 8285);
      using heard = hearEvents("senderUnknown");
      for (const { fd } of [socket, socket, other]) sendTo(fd, packet, to);
      await expect.poll(() => a.backend.stats().inbound.dropped["unknownSender"]).toBe(3);
      await expect
        .poll(() => heard.events)
        .toEqual([
          {
            type: "senderUnknown",
            backend: "udp",
            sender: hosts.strangerAddress.toString(),
            source: b.inner.toString(),
            expected: b.underlay.toString(),
            admittedBy: "peerSource: any",
          },
        ]);
      expect(a.backend.stats().inbound.packets).toBe(0);
      await a.backend.close();

      const underlay = underlayAt(a.underlay);
      await using backend = openUdpBackend({ netns: a.netns, underlay, peerSource: "any" });
      await backend.join({ lease: a.lease, network: hosts.network });
      await backend.apply([b.lease]);
      sendTo(socket.fd, packet, to);
      sendTo(socket.fd, echoRequest(innerAddress(inner, 3), a.inner), to);
      await expect
        .poll(() => backend.stats().inbound)
        .toMatchObject({ packets: 1, dropped: { foreignSource: 1 } });
    });
  });
});

function hearEvents(type: BackendEvent["type"]): Disposable & { readonly events: readonly BackendEvent[] } {
  const events: BackendEvent[] = [];
  const listen = (event: unknown): void => {
    if ((event as BackendEvent).type === type) events.push(event as BackendEvent);
  };
  subscribe("loden:backend", listen);
  return { events, [Symbol.dispose]: () => void unsubscribe("loden:backend", listen) };
}

function underlayAt(address: Address): Underlay {
  return { link: "eth0", mtu: 1500, [`ipv${address.family}`]: address };
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
    if (i % 2 === 0) disguise(data, i % 4 === 0, random(3));
    sendTo(socket.fd, data, to);
    // What the socket's buffer does is not what is tested, so never more than 200 at once.
    if (i % 200 === 0) await until(() => seen(a) >= before + i);
  }
}

/** Makes random bytes look like a packet, of host b or of somebody else, to a subnet of the overlay. */
function disguise(data: Uint8Array, isOfPeer: boolean, subnet: number): void {
  const { family } = a.inner;
  const source = isOfPeer ? b.inner : parseAddress(family === 4 ? "10.9.9.9" : "fd00:9::9");
  if (data.length < (family === 4 ? 20 : 40)) return;
  const length = family === 4 ? data.length : data.length - 40;
  data.set(family === 4 ? [0x45, 0] : [0x60, 0, 0, 0]);
  data.set([length >> 8, length & 255], family === 4 ? 2 : 4);
  data.set(source.toBytes(), family === 4 ? 12 : 8);
  data.set(innerAddress(family, subnet).toBytes(), family === 4 ? 16 : 24);
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
