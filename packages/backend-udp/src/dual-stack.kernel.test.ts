import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connectSocket, constants, encodeSocketAddress, errno, getSocketOption, sendTo } from "@loden/linux";
import { openRtnetlink } from "@loden/rtnetlink";
import { hearErrors, ping, received, udpSocket } from "./host-sockets.fixture.ts";
import { transferBytes } from "./transfer-bytes.fixture.ts";
import { innerAddress, openHost, openSwitch, type Host } from "./two-hosts.fixture.ts";

// An overlay of both families, over an underlay on which not everybody has both:
//
//   both: 192.0.2.1, 2001:db8::1      four: 192.0.2.2      six: 2001:db8::3      also both: 192.0.2.4, 2001:db8::4
//   eth0 ----------------------------- switch -----------------------------------------------------------

let fixture: AsyncDisposableStack;
let both: Host;
let four: Host;
let six: Host;
let alsoBoth: Host;

beforeEach(async () => {
  fixture = new AsyncDisposableStack();
  const plug = await openSwitch(fixture);
  const inner = [4, 6] as const;
  both = await openHost(fixture, await plug(1, [4, 6]), { number: 1, inner });
  four = await openHost(fixture, await plug(2, [4]), { number: 2, inner });
  six = await openHost(fixture, await plug(3, [6]), { number: 3, inner });
  alsoBoth = await openHost(fixture, await plug(4, [4, 6]), { number: 4, inner });
  const all = [both, four, six, alsoBoth];
  for (const host of all)
    await host.backend.apply(all.filter((other) => other !== host).map(({ lease }) => lease));
});

afterEach(() => fixture.disposeAsync());

describe("openUdpBackend() with both families", () => {
  test("attributes and MTU follow from the underlay's families", () => {
    expect(both.backend.attributes).toMatchObject({ publicIP: both.underlay, publicIPv6: expect.anything() });
    expect(four.backend.attributes).toEqual({ publicIP: four.underlay, backendType: "" });
    expect(six.backend.attributes).toEqual({ publicIPv6: six.underlay, backendType: "" });
    expect([both, four, six].map(({ backend }) => backend.mtu)).toEqual([1472, 1472, 1452]);
  });

  test("pings of both families cross between hosts that share a family, and no others", async () => {
    for (const family of [4, 6] as const) {
      for (const [from, to] of [
        [both, 2],
        [both, 3],
        [both, 4],
        [four, 1],
        [six, 1],
        [six, 4],
      ] as const) {
        const inner = innerAddress(family, 1);
        const own = { ...from, inner: from.lease.subnet[`ipv${family}`]?.address.plus(1) ?? inner };
        expect(await ping(own, innerAddress(family, to))).toBe(true);
      }
    }
    // Four and six are no peers of each other.
    expect([both, four, six].map(({ backend }) => backend.stats().peers)).toEqual([6, 4, 4]);
  });

  test("hosts with both use IPv4 between them", async () => {
    using rtnetlink = openRtnetlink({ netns: both.netns });
    await rtnetlink.addresses.delete({
      link: "eth0",
      address: both.lease.attributes.publicIPv6 ?? both.underlay,
      prefixLength: 64,
    });
    expect(await ping(both, alsoBoth.inner)).toBe(true);
  });

  test("TCP crosses to an IPv4 and an IPv6 host at once", async () => {
    const transfers = await Promise.all([
      transferBytes(both, four, 10_000_000),
      transferBytes(both, six, 10_000_000),
      transferBytes(alsoBoth, both, 10_000_000),
    ]);
    for (const { sent, arrived } of transfers) expect(arrived).toBe(sent);
  });

  test("a packet for an IPv6 host that only fits IPv4 headers is answered with that host's MTU", async () => {
    using socket = udpSocket(both, 7001);
    hearErrors(socket, six.inner);
    connectSocket(socket.fd, encodeSocketAddress(six.inner.toBytes(), 7000));
    sendTo(socket.fd, new Uint8Array(1472 - 28));
    await expect(received(socket.fd)).rejects.toMatchObject({ errno: errno.EMSGSIZE });
    expect(getSocketOption(socket.fd, constants.SOL_IP, constants.IP_MTU)).toBe(1452);
  });

  test("a host that loses an address of its underlay goes on with the other", async () => {
    const { ipv6 } = { ipv6: both.lease.attributes.publicIPv6 };
    await both.backend.setUnderlay({ link: "eth0", mtu: 1500, ipv6 });
    expect(both.backend.attributes).toEqual({ publicIPv6: ipv6, backendType: "" });
    expect([both.backend.mtu, both.backend.stats().peers]).toEqual([1452, 4]);
    await alsoBoth.backend.apply([{ ...both.lease, attributes: both.backend.attributes }, six.lease]);
    expect(await ping(both, six.inner)).toBe(true);
    expect(await ping(both, alsoBoth.inner)).toBe(true);
    await both.backend.setUnderlay({ link: "eth0", mtu: 1500, ipv4: both.underlay, ipv6 });
    expect(both.backend.stats().peers).toBe(6);
    await four.backend.apply([both.lease]);
    expect(await ping(both, four.inner)).toBe(true);
  });
});
