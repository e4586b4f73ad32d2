import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connectSocket, constants, encodeSocketAddress, errno, getSocketOption, sendTo } from "@loden/linux";
import { openRtnetlink } from "@loden/rtnetlink";
import { hearErrors, ping, received, udpSocket } from "./host-sockets.fixture.ts";
import { sendOnePiece, tcpCounters, transferBytes } from "./transfer-bytes.fixture.ts";
import { allWays, openDistantHosts, openTwoHosts, type Host, type TwoHosts } from "./two-hosts.fixture.ts";

// Paths that are narrower than the tunnel's MTU needs.

const someBytes = 20_000_000;
let hosts: Pick<TwoHosts, "a" | "b" | typeof Symbol.asyncDispose>;
let a: Host;
let b: Host;

afterEach(() => hosts[Symbol.asyncDispose]());

describe.each(allWays)("IPv$inner over IPv$outer by $carrier", (way) => {
  const overhead = way.outer === 4 ? 28 : 48;

  describe.each([
    [
      "the hosts' own devices have a smaller MTU than they think",
      async () => {
        const made = await openTwoHosts(way);
        for (const { netns } of [made.a, made.b]) {
          using rtnetlink = openRtnetlink({ netns });
          await rtnetlink.links.set("eth0", { mtu: 1400 });
        }
        // The kernel tells of it a moment later.
        for (const { backend, underlay } of [made.a, made.b])
          await backend.setUnderlay({ link: "eth0", mtu: 1500, [`ipv${way.outer}`]: underlay });
        return made;
      },
    ],
    ["a link between routers has a smaller MTU", () => openDistantHosts({ ...way, hopMtu: 1400 })],
  ] as const)("%s", (_, open) => {
    beforeEach(async () => {
      hosts = await open();
      ({ a, b } = hosts);
    });

    test("the first packet that may not be fragmented is answered with the path's MTU", async () => {
      using socket = udpSocket(a, 7001);
      hearErrors(socket, b.inner);
      connectSocket(socket.fd, encodeSocketAddress(b.inner.toBytes(), 7000));
      sendTo(socket.fd, new Uint8Array(1400));
      await expect(received(socket.fd)).rejects.toMatchObject({ errno: errno.EMSGSIZE });
      expect(pathMtu(socket.fd, way.inner)).toBe(1400 - overhead);
      expect(a.backend.stats().outbound.dropped).toMatchObject({ tooBig: 1 });
      expect(await ping(a, b.inner)).toBe(true);
    });

    test("large datagrams cross: an IPv4 packet in fragments, IPv6 once its sender knows the path", async () => {
      using receiver = udpSocket(b, 7000);
      using sender = udpSocket(a, 7001);
      const data = Uint8Array.from({ length: 9000 }, (_byte, i) => i);
      let arrived: Uint8Array | undefined;
      for (let attempt = 0; attempt < 20 && arrived === undefined; attempt++) {
        sendTo(sender.fd, data, encodeSocketAddress(b.inner.toBytes(), 7000));
        arrived = await received(receiver.fd, 500);
      }
      expect(arrived).toEqual(data);
    });

    test("a TCP sender hears of the path from its first segment, before it would probe for a loss", async () => {
      await sendOnePiece(a, b, 1350);
      // Lost once, and sent again in two pieces.
      expect(tcpCounters(a)).toMatchObject({ RetransSegs: 2, TCPLossProbes: 0, TCPTimeouts: 0 });
      expect(a.backend.stats()).toMatchObject({ icmpSent: 1, outbound: { dropped: { tooBig: 1 } } });
    });

    test("a TCP transfer finds the path's MTU and arrives as it was sent", async () => {
      const { sent, arrived } = await transferBytes(a, b, someBytes);
      expect(arrived).toBe(sent);
      expect(a.backend.stats().outbound.dropped.tooBig).toBeGreaterThan(0);
    });
  });
});

test.each([4, 6] as const)(
  "IPv6 packets of 1,280 bytes cross an IPv%d underlay that takes less",
  async (outer) => {
    hosts = await openTwoHosts({ inner: 6, outer, underlayMtu: 1300 });
    ({ a, b } = hosts);
    expect(a.backend.mtu).toBe(1280);
    const { sent, arrived } = await transferBytes(a, b, 1_000_000);
    expect(arrived).toBe(sent);
    expect(a.backend.stats().outbound.dropped.tooBig).toBe(0);
  },
);

function pathMtu(fd: number, family: 4 | 6): number {
  const { SOL_IP, IP_MTU, SOL_IPV6, IPV6_MTU } = constants;
  return family === 4 ? getSocketOption(fd, SOL_IP, IP_MTU) : getSocketOption(fd, SOL_IPV6, IPV6_MTU);
}
