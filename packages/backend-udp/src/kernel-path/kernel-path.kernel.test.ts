import { execFileSync } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, describe, expect, test } from "vitest";
import type { BackendEvent } from "@loden/backend";
import { lacksTcx } from "@loden/bpf/testing";
import { parsePrefix } from "@loden/ip";
import {
  constants,
  encodeSocketAddress,
  errno,
  sendTo,
  setLinkFeatures,
  setSocketOption,
} from "@loden/linux";
import { createNetns, type Netns } from "@loden/netns";
import { checksum } from "@loden/packet";
import { openRtnetlink } from "@loden/rtnetlink";
import { untilRunning } from "@loden/rtnetlink/testing";
import {
  echoRequest,
  errorFor,
  packetSocket,
  ping,
  plainUdpSocket,
  received,
  udpSocket,
} from "../host-sockets.fixture.ts";
import { transferBytes } from "../transfer-bytes.fixture.ts";
import {
  innerAddress,
  openHost,
  openSwitch,
  openTwoHosts,
  outerAddress,
  type Carrier,
  type Host,
  type HostsOptions,
  type Place,
  type TwoHosts,
} from "../two-hosts.fixture.ts";

// What the kernel path does beyond what the pump does as well: that is in this package's other tests, which run with both.

// include/uapi/asm-generic/socket.h
const SO_NO_CHECK = 11;

let hosts: TwoHosts;
let a: Host;
let b: Host;

async function open(options: HostsOptions): Promise<void> {
  hosts = await openTwoHosts(options);
  ({ a, b } = hosts);
}

afterEach(() => hosts[Symbol.asyncDispose]());

describe.skipIf(lacksTcx)("openUdpBackend() with the kernel path (needs Linux 6.6 and CAP_BPF)", () => {
  test.each([
    ["whole", { on: true, decapsulates: "all", encapsulatesFor: "able" }],
    ["finished", { on: true, decapsulates: "acks", encapsulatesFor: "all" }],
    ["pump", { on: false, reason: "it is switched off" }],
  ] as const)(
    "says what it does, and publishes what it takes, when devices are %s",
    async (carrier, state) => {
      using heard = hearEvents();
      await open({ carrier });
      expect(a.backend.kernelPath).toEqual(state);
      const data = state.on ? { Decapsulates: state.decapsulates } : undefined;
      expect(a.backend.attributes.backendData).toEqual(data);
      const told = heard.events.map(({ type }) => type);
      expect(told).toEqual(
        state.on ? [...Array(2)].flatMap(() => ["kernelPathChanged", "attributesChanged"]) : [],
      );
    },
  );

  test("pings and TCP pass the pump by when both hosts hand packets over whole", async () => {
    await open({ carrier: "whole" });
    await settled();
    const before = wakeups();
    for (let i = 0; i < 20; i++) expect(await ping(a, b.inner)).toBe(true);
    const { sent, arrived } = await transferBytes(b, a, 20_000_000);
    expect(arrived).toBe(sent);
    expect(wakeups()).toEqual(before);
    expect(b.backend.stats().outbound.bytes).toBeGreaterThan(20_000_000);
    expect(a.backend.stats().inbound.packets).toBe(b.backend.stats().outbound.packets);
    expect(a.backend.stats().inbound.bytes).toBe(b.backend.stats().outbound.bytes);
  });

  test.each(["whole", "finished"] as const)(
    "a peer that takes nothing in its kernel is served as before when devices are %s",
    async (carrier) => {
      await openWithPlainPeer(carrier);
      expect(await ping(a, b.inner)).toBe(true);
      expect(await ping(b, a.inner)).toBe(true);
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        const { sent, arrived } = await transferBytes(from, to, 20_000_000);
        expect(arrived).toBe(sent);
      }
      expect(b.backend.stats().inbound.dropped).toMatchObject({ badLength: 0, unknownSender: 0 });
    },
  );

  test("datagrams of every length leave with right checksums", async () => {
    await openWithPlainPeer("finished");
    using receiver = udpSocket(b, 7000);
    using sender = udpSocket(a, 7001);
    const send = async (length: number): Promise<void> => {
      const data = Uint8Array.from({ length }, (_, i) => (i * length) >> 3);
      sendTo(sender.fd, data, encodeSocketAddress(b.inner.toBytes(), 7000));
      expect(await received(receiver.fd)).toEqual(data);
    };
    await expect.poll(() => wakeupsBy(a, () => send(1))).toBe(0);
    using all = packetSocket(a);
    setSocketOption(all.fd, constants.SOL_SOCKET, constants.SO_RCVBUFFORCE, 2 ** 24);
    const most = a.backend.mtu - 28;
    const woken = await wakeupsBy(a, async () => {
      for (let length = 0; length <= most; length++) await send(length);
    });
    expect(woken).toBe(0);
    let seen = 0;
    for (;;) {
      const packet = await received(all.fd, 100);
      if (packet === undefined) break;
      if (!isOuter(packet)) continue;
      expect(checksum(packet.subarray(0, 20))).toBe(0);
      expect(checksum(withPseudoHeader(packet))).toBe(0);
      expect(new DataView(packet.buffer).getUint16(26)).not.toBe(0);
      seen++;
    }
    expect(seen).toBe(most + 1);
  });
});

describe.skipIf(lacksTcx)("openUdpBackend() ends with the kernel path (needs Linux 6.6 and CAP_BPF)", () => {
  test("close() comes between a new peer and the answer where its way leads", async () => {
    await open({ carrier: "whole" });
    // An error that nobody awaits fails the run.
    await a.backend.apply([
      { ...b.lease, attributes: { ...b.lease.attributes, publicIP: outerAddress(4, 77) } },
    ]);
    await a.backend.close();
    expect(a.backend.kernelPath).toEqual({ on: false, reason: "the backend is closed" });
    expect(a.backend.stats().outbound.packets).toBe(0);
  });
});

describe.skipIf(lacksTcx)(
  "openUdpBackend() checks what the kernel takes (needs Linux 6.6 and CAP_BPF)",
  () => {
    test("a stranger's packets without a checksum are dropped, and a peer's with addresses that are not its own", async () => {
      await open({ carrier: "whole" });
      using stranger = plainUdpSocket(hosts.stranger, hosts.strangerAddress, 8285);
      using peer = plainUdpSocket(b.netns, b.underlay, 9000);
      for (const { fd } of [stranger, peer]) setSocketOption(fd, constants.SOL_SOCKET, SO_NO_CHECK, 1);
      const to = encodeSocketAddress(a.underlay.toBytes(), 8285);
      sendTo(stranger.fd, echoRequest(b.inner, a.inner), to);
      await expect.poll(() => a.backend.stats().inbound.dropped["unknownSender"]).toBe(1);
      sendTo(peer.fd, echoRequest(innerAddress(4, 3), a.inner), to);
      await expect.poll(() => a.backend.stats().inbound.dropped["foreignSource"]).toBe(1);
      sendTo(peer.fd, echoRequest(b.inner, innerAddress(4, 3)), to);
      await expect.poll(() => a.backend.stats().inbound.dropped["foreignDestination"]).toBe(1);
      expect(a.backend.stats().inbound.packets).toBe(0);
      sendTo(peer.fd, echoRequest(b.inner, a.inner), to);
      await expect.poll(() => a.backend.stats().inbound.packets).toBe(1);
      expect(wakeups()[0]).toBeGreaterThan(0);
    });
  },
);

describe.skipIf(lacksTcx)(
  "openUdpBackend() leaves to the pump what the kernel path can't heed (needs Linux 6.6 and CAP_BPF)",
  () => {
    test("packets for a peer whose route has an MTU are answered with it, as long as it has", async () => {
      await open({ carrier: "whole" });
      using rtnetlink = openRtnetlink({ netns: a.netns });
      const route = { destination: parsePrefix(`${b.underlay.toString()}/32`), link: "eth0", mtu: 1300 };
      await rtnetlink.routes.add(route);
      await expect.poll(() => errorFor(a, b.inner, { bytes: 1400 - 28 })).toBe(errno.EMSGSIZE);
      expect(await ping(a, b.inner)).toBe(true);
      await rtnetlink.routes.delete(route);
      await settled();
      const before = wakeups();
      expect(await ping(a, b.inner)).toBe(true);
      expect(wakeups()).toEqual(before);
    });

    test("nothing passes IPsec policies by", async () => {
      await open({ carrier: "whole" });
      using heard = hearEvents();
      xfrm(a.netns, "add");
      await expect
        .poll(() => a.backend.kernelPath)
        .toMatchObject({ on: false, reason: expect.stringMatching(/IPsec/) });
      expect(a.backend.attributes.backendData).toBeUndefined();
      await b.backend.apply([{ ...a.lease, attributes: a.backend.attributes }]);
      const before = a.backend.wakeups;
      expect(await ping(a, b.inner)).toBe(true);
      expect(a.backend.wakeups).toBeGreaterThan(before);
      xfrm(a.netns, "delete");
      await expect.poll(() => a.backend.kernelPath.on).toBe(true);
      expect(a.backend.attributes).toEqual(a.lease.attributes);
      expect(heard.events.map(({ type }) => type)).toEqual([
        "kernelPathChanged",
        "attributesChanged",
        "kernelPathChanged",
        "attributesChanged",
      ]);
    });
  },
);

describe.skipIf(lacksTcx)(
  "openUdpBackend() follows the device of the underlay (needs Linux 6.6 and CAP_BPF)",
  () => {
    test("what it takes is published again when the device begins to gather", async () => {
      await open({ carrier: "whole" });
      a.netns.run(() => setLinkFeatures("eth0", (name) => (name === "rx-gro" ? true : undefined)));
      await expect.poll(() => a.backend.attributes.backendData).toEqual({ Decapsulates: "acks" });
      await b.backend.apply([{ ...a.lease, attributes: a.backend.attributes }]);
      expect(await ping(a, b.inner)).toBe(true);
      const { sent, arrived } = await transferBytes(b, a, 20_000_000);
      expect(arrived).toBe(sent);
    });

    test("packets go on over devices that took the places of others", async () => {
      await openOverCable();
      await settled();
      await layCable();
      for (const host of [a, b])
        await host.backend.setUnderlay({ link: "eth0", mtu: 1500, ipv4: host.underlay });
      await settled();
      const { sent, arrived } = await transferBytes(b, a, 20_000_000);
      expect(arrived).toBe(sent);
    });
  },
);

/** Two hosts without a switch between them. */
async function openOverCable(): Promise<void> {
  const fixture = new AsyncDisposableStack();
  const places = [1, 2].map((number) => ({
    netns: fixture.use(createNetns()),
    underlay: { link: "eth0", mtu: 1500, ipv4: outerAddress(4, number) },
  }));
  const [left, right] = places as [Place, Place];
  const laid = {
    a: { ...left, underlay: left.underlay.ipv4 },
    b: { ...right, underlay: right.underlay.ipv4 },
  };
  ({ a, b } = laid as unknown as TwoHosts);
  await layCable();
  a = await openHost(fixture, left, { number: 1, inner: [4], carrier: "whole" });
  b = await openHost(fixture, right, { number: 2, inner: [4], carrier: "whole" });
  await a.backend.apply([b.lease]);
  await b.backend.apply([a.lease]);
  hosts = { a, b, [Symbol.asyncDispose]: () => fixture.disposeAsync() } as unknown as TwoHosts;
}

/** Joins both hosts with a new pair of devices; one that is there goes. */
async function layCable(): Promise<void> {
  using left = openRtnetlink({ netns: a.netns });
  using right = openRtnetlink({ netns: b.netns });
  if ((await left.links.get("eth0")) !== undefined) await left.links.delete("eth0");
  await left.links.add({ name: "eth0", kind: "veth", peer: { name: "eth0", netns: b.netns } });
  for (const [rtnetlink, { underlay }] of [
    [left, a],
    [right, b],
  ] as const) {
    await rtnetlink.links.set("lo", { up: true });
    await rtnetlink.addresses.add({ link: "eth0", address: underlay, prefixLength: 24 });
    await rtnetlink.links.set("eth0", { up: true });
  }
  await untilRunning(left, "eth0");
}

/** Host a with the kernel path, and b whose pump does everything, as a flannel host would. */
async function openWithPlainPeer(carrier: Carrier): Promise<void> {
  const fixture = new AsyncDisposableStack();
  const plug = await openSwitch(fixture);
  a = await openHost(fixture, await plug(1, [4]), { number: 1, inner: [4], carrier });
  b = await openHost(fixture, await plug(2, [4]), { number: 2, inner: [4] });
  await a.backend.apply([b.lease]);
  await b.backend.apply([a.lease]);
  hosts = { a, b, [Symbol.asyncDispose]: () => fixture.disposeAsync() } as unknown as TwoHosts;
}

/** Waits until the ways to the peers are known: pings wake no pump any more. */
async function settled(): Promise<void> {
  await expect
    .poll(async () => {
      const before = wakeups();
      expect(await ping(a, b.inner)).toBe(true);
      return wakeups().map((count, i) => count - (before[i] ?? 0));
    })
    .toEqual([0, 0]);
}

/** How often a host's pump is woken meanwhile. */
async function wakeupsBy({ backend }: Host, work: () => Promise<void>): Promise<number> {
  const before = backend.wakeups;
  await work();
  return backend.wakeups - before;
}

function wakeups(): number[] {
  return [a, b].map(({ backend }) => backend.wakeups);
}

function hearEvents(): Disposable & { readonly events: readonly BackendEvent[] } {
  const events: BackendEvent[] = [];
  const listen = (event: unknown): void => void events.push(event as BackendEvent);
  subscribe("loden:backend", listen);
  return { events, [Symbol.dispose]: () => void unsubscribe("loden:backend", listen) };
}

/** A policy about nobody here. */
function xfrm(netns: Netns, verb: "add" | "delete"): void {
  const selector = ["dir", "out", "src", "198.51.100.1", "dst", "198.51.100.2"];
  netns.run(() => execFileSync("ip", ["xfrm", "policy", verb, ...selector]));
}

function isOuter(packet: Uint8Array): boolean {
  return packet.length >= 28 && packet[9] === 17 && packet[22] === 8285 >> 8 && packet[23] === (8285 & 255);
}

/** The UDP datagram of a packet, behind what its checksum covers besides. */
function withPseudoHeader(packet: Uint8Array): Uint8Array {
  const datagram = packet.subarray(20);
  const summed = new Uint8Array(12 + datagram.length);
  summed.set(packet.subarray(12, 20));
  summed.set([0, 17, datagram.length >> 8, datagram.length & 255], 8);
  summed.set(datagram, 12);
  return summed;
}
