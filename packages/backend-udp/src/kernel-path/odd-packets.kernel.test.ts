import { execFileSync } from "node:child_process";
import { afterEach, describe, expect, test } from "vitest";
import { type Address, parseAddress } from "@loden/ip";
import { constants, encodeSocketAddress, sendTo, setSocketOption } from "@loden/linux";
import type { Netns } from "@loden/netns";
import { encodeUdp } from "@loden/packet";
import { ping, plainUdpSocket, rawSocket, received, udpSocket } from "../host-sockets.fixture.ts";
import {
  carriers,
  type Host,
  innerAddress,
  openHost,
  openSwitch,
  openTwoHosts,
} from "../two-hosts.fixture.ts";

// Packets that the kernel can't encapsulate, or not with a checksum of the headers alone: the pump has them.

let hosts: AsyncDisposable;

afterEach(() => hosts[Symbol.asyncDispose]());

describe.each(carriers)("openUdpBackend() where the carrier is the %s one", (carrier) => {
  test("passes on packets of more than 16 KiB", async () => {
    const two = await openTwoHosts({ carrier, underlayMtu: 40_000 });
    hosts = two;
    await settled(two.a, two.b);
    using receiver = udpSocket(two.b, 7000);
    for (const length of [15_900, 16_000, 16_010, 16_020, 16_050, 20_000, 39_900])
      expect(await isReceived(two.a, two.b.inner, receiver.fd, new Uint8Array(length))).toBe(true);
  });

  test("passes on UDP datagrams that are shorter than their packets", async () => {
    const two = await openTwoHosts({ carrier });
    hosts = two;
    const { a, b } = two;
    await settled(a, b);
    using receiver = udpSocket(b, 7000);
    using sender = rawSocket(a, 17);
    const payload = Uint8Array.of(1, 2, 3, 4, 5);
    const ends = { source: a.inner.toNumber(), destination: b.inner.toNumber() };
    const datagram = encodeUdp({ ...ends, sourcePort: 7001, destinationPort: 7000, payload });
    sendTo(sender.fd, Uint8Array.of(...datagram, 6, 7, 8), encodeSocketAddress(b.inner.toBytes(), 0));
    expect(await received(receiver.fd)).toEqual(payload);
  });

  test("passes on what is in a tunnel of its own", async () => {
    const two = await openTwoHosts({ carrier });
    hosts = two;
    const { a, b } = two;
    await settled(a, b);
    for (const [{ netns, inner }, peer, address] of [
      [a, b, "10.77.0.1/24"],
      [b, a, "10.77.0.2/24"],
    ] as const) {
      const ends = ["local", inner.toString(), "remote", peer.inner.toString(), "dstport", "4789"];
      ip(netns, "link", "add", "inside", "type", "vxlan", "id", "7", ...ends);
      ip(netns, "address", "add", address, "dev", "inside");
      ip(netns, "link", "set", "inside", "mtu", "1400", "up");
    }
    const there = parseAddress("10.77.0.2");
    using receiver = plainUdpSocket(b.netns, there, 7000);
    expect(await isReceived({ ...a, inner: parseAddress("10.77.0.1") }, there, receiver.fd)).toBe(true);
  });

  test("passes on to another peer what came from one", async () => {
    const fixture = new AsyncDisposableStack();
    hosts = { [Symbol.asyncDispose]: () => fixture.disposeAsync() };
    const plug = await openSwitch(fixture);
    const opened: Host[] = [];
    for (const number of [1, 2, 3])
      opened.push(await openHost(fixture, await plug(number, [4]), { number, inner: [4], carrier }));
    const [a, b, c] = opened as [Host, Host, Host];
    for (const host of opened)
      await host.backend.apply(opened.filter((other) => other !== host).map(({ lease }) => lease));
    // As for a service's address on b, whose container is on c.
    const service = innerAddress(4, 2).plus(6);
    b.netns.run(() => {
      execFileSync("sysctl", ["-qw", "net.ipv4.ip_forward=1"]);
      const rules = `table ip services {
        chain before {
          type nat hook prerouting priority -100;
          ip daddr ${service.toString()} dnat to ${c.inner.toString()}
        }
        chain behind {
          type nat hook postrouting priority 100;
          ct status dnat masquerade
        }
      }`;
      execFileSync("nft", ["-f", "-"], { input: rules });
    });
    await settled(a, b);
    await settled(b, c);
    expect(await ping(a, service)).toBe(true);
    using receiver = udpSocket(c, 7000);
    expect(await isReceived(a, service, receiver.fd)).toBe(true);
  });
});

/** Waits until the kernel, where it is to carry them, sends what goes from one host to another: no pump is woken. */
async function settled(from: Host, to: Host): Promise<void> {
  using receiver = udpSocket(to, 7000);
  await expect
    .poll(async () => {
      const before = from.backend.wakeups;
      expect(await isReceived(from, to.inner, receiver.fd)).toBe(true);
      return !from.backend.kernelPath.on || from.backend.wakeups === before;
    })
    .toBe(true);
}

/** Sends a datagram, and tells whether it is what the receiver gets. */
async function isReceived(
  { netns, inner }: Host,
  to: Address,
  receiver: number,
  data: Uint8Array = Uint8Array.of(1, 2, 3),
): Promise<boolean> {
  setSocketOption(receiver, constants.SOL_SOCKET, constants.SO_RCVBUFFORCE, 2 ** 20);
  using sender = plainUdpSocket(netns, inner, 0);
  sendTo(sender.fd, data, encodeSocketAddress(to.toBytes(), 7000));
  const message = await received(receiver, 2000);
  return message !== undefined && Buffer.compare(message, data) === 0;
}

function ip(netns: Netns, ...words: readonly string[]): void {
  netns.run(() => execFileSync("ip", words));
}
