import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { constants, encodeSocketAddress, sendTo, setSocketOption } from "@loden/linux";
import { received, udpSocket } from "./host-sockets.fixture.ts";
import { deviceFrames, transferBytes } from "./transfer-bytes.fixture.ts";
import { allWays, openTwoHosts, type Host, type TwoHosts } from "./two-hosts.fixture.ts";

// TCP and UDP in super-packets.

const UDP_SEGMENT = 103;
const someBytes = 20_000_000;

let hosts: TwoHosts;
let a: Host;
let b: Host;

describe.each(allWays)(
  "openUdpBackend() carries super-packets of IPv$inner over IPv$outer by $carrier",
  (way) => {
    beforeEach(async () => {
      hosts = await openTwoHosts(way);
      ({ a, b } = hosts);
    });

    afterEach(() => hosts[Symbol.asyncDispose]());

    test("a TCP transfer arrives as it was sent, in packets of the tunnel's size, whole on both devices", async () => {
      const { sent, arrived } = await transferBytes(a, b, someBytes);
      expect(arrived).toBe(sent);
      const { outbound } = a.backend.stats();
      expect(outbound.packets).toBeGreaterThanOrEqual(Math.floor(someBytes / a.backend.mtu));
      expect(outbound.bytes).toBeGreaterThan(someBytes);
      expect(deviceFrames(a).outbound).toBeLessThan(outbound.packets / 2);
      const { inbound } = b.backend.stats();
      expect(inbound.dropped).toMatchObject({ badLength: 0, foreignSource: 0 });
      expect(deviceFrames(b).inbound).toBeLessThan(inbound.packets / 2);
    });

    test("datagrams of one message arrive one by one, in order", async () => {
      using receiver = udpSocket(b, 7000);
      using sender = udpSocket(a, 7001);
      setSocketOption(sender.fd, constants.SOL_UDP, UDP_SEGMENT, 1000);
      const data = Uint8Array.from({ length: 40_300 }, (_, i) => i >> 3);
      sendTo(sender.fd, data, encodeSocketAddress(b.inner.toBytes(), 7000));
      for (let at = 0; at < data.length; at += 1000) {
        expect(await received(receiver.fd)).toEqual(data.slice(at, at + 1000));
      }
    });

    test("TCP packets are joined after datagrams, as many as one message carries, were", async () => {
      using receiver = udpSocket(b, 7000);
      using sender = udpSocket(a, 7001);
      setSocketOption(sender.fd, constants.SOL_UDP, UDP_SEGMENT, 500);
      setSocketOption(receiver.fd, constants.SOL_SOCKET, constants.SO_RCVBUFFORCE, 2 ** 22);
      // Joined, they would be more than some kernels take in one frame.
      const data = new Uint8Array(64 * 500).fill(7);
      for (let i = 0; i < 4; i++) sendTo(sender.fd, data, encodeSocketAddress(b.inner.toBytes(), 7000));
      for (let i = 0; i < 4 * 64; i++) expect((await received(receiver.fd))?.length).toBe(500);
      const before = { frames: deviceFrames(b).inbound, packets: b.backend.stats().inbound.packets };
      const { sent, arrived } = await transferBytes(a, b, someBytes);
      expect(arrived).toBe(sent);
      const packets = b.backend.stats().inbound.packets - before.packets;
      expect(deviceFrames(b).inbound - before.frames).toBeLessThan(packets / 2);
    });
  },
);

test.each([
  { inner: 4, outer: 4, mtu: 8973 },
  { inner: 6, outer: 6, mtu: 8953 },
] as const)(
  "jumbo frames: $mtu bytes of IPv$inner over IPv$outer inside 9001",
  async ({ inner, outer, mtu }) => {
    await using jumbo = await openTwoHosts({ inner, outer, underlayMtu: 9001 });
    expect(jumbo.a.backend.mtu).toBe(mtu);
    using receiver = udpSocket(jumbo.b, 7000);
    using sender = udpSocket(jumbo.a, 7001);
    // As long as one packet may be: no fragments, on either level.
    const data = Uint8Array.from({ length: mtu - (inner === 4 ? 28 : 48) }, (_, i) => i);
    sendTo(sender.fd, data, encodeSocketAddress(jumbo.b.inner.toBytes(), 7000));
    expect(await received(receiver.fd)).toEqual(data);
    // A pump counts a packet once it is written.
    await expect.poll(() => jumbo.b.backend.stats().inbound).toMatchObject({ packets: 1, bytes: mtu });
    const { sent, arrived } = await transferBytes(jumbo.a, jumbo.b, someBytes);
    expect(arrived).toBe(sent);
    expect(jumbo.a.backend.stats().outbound.packets).toBeLessThan((1.2 * someBytes) / (mtu - 100));
    expect(jumbo.a.backend.stats().outbound.dropped.tooBig).toBe(0);
  },
);
