import { spawnSync } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { BackendEvent } from "@loden/backend";
import { parseAddress, parsePrefix, type Address } from "@loden/ip";
import type { Lease } from "@loden/lease";
import {
  closeFd,
  constants,
  encodeSocketAddress,
  errno,
  openSocket,
  receiveFrom,
  sendTo,
} from "@loden/linux";
import { bindSocket, connectSocket, setSocketOption } from "@loden/linux";
import { createNetns, type Netns } from "@loden/netns";
import { encodeIcmpEcho, encodeIpv4, parseIcmp, parseIpv4 } from "@loden/packet";
import { openRouteTable } from "@loden/route";
import { openRtnetlink } from "@loden/rtnetlink";
import { parseNetworkConfig } from "@loden/subnet";
import { openUdpBackend, type UdpBackend } from "./index.ts";

//   host a                                host b                     stranger
//   10.5.1.1 on lo, loden0 10.5.1.0/32    10.5.2.1, loden0           (a namespace with
//   eth0 192.0.2.1 ---- switch (bridge in a namespace) ---- 192.0.2.2   192.0.2.9, no peer)

const network = parseNetworkConfig('{"Network":"10.5.0.0/16"}');

interface Host {
  readonly netns: Netns;
  readonly underlay: Address;
  readonly inner: Address;
  readonly lease: Lease;
  readonly backend: UdpBackend;
}

let fixture: AsyncDisposableStack;
let a: Host;
let b: Host;
let stranger: Netns;

beforeEach(async () => {
  fixture = new AsyncDisposableStack();
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
    const backend = fixture.use(openUdpBackend({ netns, underlay: { address: underlay, mtu: 1500 } }));
    const lease: Lease = {
      subnet: { ipv4: parsePrefix(`10.5.${number}.0/24`) },
      attributes: backend.attributes,
      expiresAt: undefined,
      revision: "1",
    };
    await backend.join({ lease, network });
    return { netns, underlay, inner, lease, backend };
  };
  a = await makeHost(1);
  b = await makeHost(2);
  stranger = fixture.use(createNetns());
  await plug(stranger, 9);
  await a.backend.apply([b.lease]);
  await b.backend.apply([a.lease]);
});

afterEach(() => fixture.disposeAsync());

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
    using routes = openRouteTable({ netns: a.netns });
    using rtnetlink = openRtnetlink({ netns: a.netns });
    const before = await routes.list();
    expect(before.map((route) => route.destination.toString())).toEqual(["10.5.0.0/16"]);
    for (const route of before) await rtnetlink.routes.delete(route);
    await expect.poll(() => ping(a, b.inner), { timeout: 5000 }).toBe(true);
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
    expect(await ping(b, a.inner)).toBe(false);
    await expect.poll(() => a.backend.stats().inbound.dropped["unknownSender"]).toBe(1);
  });
});

describe("openUdpBackend() takes garbage", () => {
  test("random datagrams of a peer and of a stranger are counted, and packets go on", async () => {
    const datagrams = 2000;
    await flood(stranger, parseAddress("192.0.2.9"), datagrams);
    await expect.poll(() => seen(a), { timeout: 5000 }).toBe(datagrams);
    await flood(b.netns, b.underlay, datagrams);
    await expect.poll(() => seen(a), { timeout: 5000 }).toBe(2 * datagrams);
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
    using socket = plainUdpSocket(stranger, parseAddress("192.0.2.9"), 0);
    const to = encodeSocketAddress(a.underlay.toBytes(), 8285);
    sendTo(socket.fd, packet, to);
    await expect.poll(() => a.backend.stats().inbound.dropped["unknownSender"]).toBe(1);
    expect(a.backend.stats().inbound.packets).toBe(0);
    await a.backend.close();

    const underlay = { address: a.underlay, mtu: 1500 };
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

describe("openUdpBackend() starts and stops", () => {
  test("nothing wakes the pump while nothing moves", async () => {
    // What the kernel sends by itself on a new device would count: there must be none of it either.
    await ping(a, b.inner);
    const before = a.backend.wakeups;
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(a.backend.wakeups - before).toBeLessThanOrEqual(1);
  });

  test("a device that somebody deletes is reported, and closing still works", async () => {
    const events: BackendEvent[] = [];
    const listen = (event: unknown): void => void events.push(event as BackendEvent);
    subscribe("loden:backend", listen);
    try {
      using rtnetlink = openRtnetlink({ netns: a.netns });
      const device = a.backend.deviceName ?? "";
      await rtnetlink.links.delete(device);
      await expect.poll(() => events).toEqual([{ type: "deviceLost", backend: "udp", device }]);
      await a.backend.close();
    } finally {
      unsubscribe("loden:backend", listen);
    }
  });

  test("a process that ends while packets move ends cleanly", async () => {
    await a.backend.close();
    const script = `
      import { openUdpBackend } from "@loden/backend-udp";
      import { parseAddress, parsePrefix } from "@loden/ip";
      import { parseNetworkConfig } from "@loden/subnet";
      import { createSocket } from "node:dgram";
      const backend = openUdpBackend({ underlay: { address: parseAddress("192.0.2.1"), mtu: 1500 } });
      const lease = { subnet: { ipv4: parsePrefix("10.5.1.0/24") }, attributes: backend.attributes, revision: "1" };
      await backend.join({ lease, network: parseNetworkConfig('{"Network":"10.5.0.0/16"}') });
      const socket = createSocket("udp4");
      // The socket's own garbage keeps the pump busy until the very end.
      const flood = () => { for (let i = 0; i < 10; i++) socket.send("x", 8285, "192.0.2.1"); setImmediate(flood); };
      flood();
      setTimeout(() => { if (process.argv[1] === "throw") throw new Error("on purpose"); process.exit(7); }, 300);`;
    const run = (how: string): ReturnType<typeof spawnSync> => {
      const args = ["--conditions=@loden/source", "--input-type=module", "-e", script, how];
      const cwd = fileURLToPath(new URL("..", import.meta.url));
      return a.netns.run(() => spawnSync(process.execPath, args, { encoding: "utf8", cwd, timeout: 20_000 }));
    };
    for (let i = 0; i < 3; i++) expect(run("exit")).toMatchObject({ status: 7, signal: null, stderr: "" });
    expect(run("throw")).toMatchObject({ status: 1, signal: null });
  });

  test("a pump that fails is started again, and says so", async () => {
    await a.backend.close();
    const events: BackendEvent[] = [];
    const listen = (event: unknown): void => void events.push(event as BackendEvent);
    subscribe("loden:backend", listen);
    try {
      // Fails half a second after its start, once: the wake-up count tells the first run from the second.
      const source = `
        import { workerData } from "node:worker_threads";
        await import(${JSON.stringify(import.meta.resolve("./pump.ts"))});
        if (Atomics.compareExchange(workerData.cells, 1, 1, 100) === 1) setTimeout(() => { throw new Error("on purpose"); }, 50);`;
      const workerUrl = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
      const underlay = { address: a.underlay, mtu: 1500 };
      await using backend = openUdpBackend({ netns: a.netns, underlay, workerUrl });
      await backend.join({ lease: a.lease, network });
      await backend.apply([b.lease]);
      await expect
        .poll(() => events, { timeout: 5000 })
        .toMatchObject([{ type: "pumpRestarted", restarts: 1 }]);
      await expect.poll(() => ping({ ...a, backend }, b.inner), { timeout: 5000 }).toBe(true);
      expect(backend.stats().restarts).toBe(1);
    } finally {
      unsubscribe("loden:backend", listen);
    }
  });

  test("close() leaves nothing behind, and may be called again", async () => {
    await a.backend.close();
    await a.backend.close();
    using rtnetlink = openRtnetlink({ netns: a.netns });
    expect((await rtnetlink.links.list()).map((link) => link.name).toSorted()).toEqual(["eth0", "lo"]);
    using socket = plainUdpSocket(a.netns, a.underlay, 8285);
    expect(socket.fd).toBeGreaterThan(0);
  });

  test("join() removes what it made when the port is taken", async () => {
    const backend = openUdpBackend({ netns: a.netns, underlay: { address: a.underlay, mtu: 1500 } });
    await expect(backend.join({ lease: a.lease, network })).rejects.toMatchObject({ code: "EADDRINUSE" });
    using rtnetlink = openRtnetlink({ netns: a.netns });
    expect(await rtnetlink.links.get("loden1")).toBeUndefined();
    expect(await ping(a, b.inner)).toBe(true);
  });

  test("a hundred backends open, join and close", async () => {
    await a.backend.close();
    for (let i = 0; i < 100; i++) {
      await using backend = openUdpBackend({ netns: a.netns, underlay: { address: a.underlay, mtu: 1500 } });
      await backend.join({ lease: a.lease, network });
    }
    using rtnetlink = openRtnetlink({ netns: a.netns });
    expect((await rtnetlink.links.list()).map((link) => link.name).toSorted()).toEqual(["eth0", "lo"]);
  });
});

interface TestSocket extends Disposable {
  readonly fd: number;
}

function own(fd: number): TestSocket {
  return { fd, [Symbol.dispose]: () => closeFd(fd) };
}

function plainUdpSocket(netns: Netns, address: Address, port: number): TestSocket {
  const { AF_INET, SOCK_DGRAM, SOCK_NONBLOCK } = constants;
  const fd = netns.run(() => openSocket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK));
  bindSocket(fd, encodeSocketAddress(address.toBytes(), port));
  return own(fd);
}

function udpSocket(host: Host, port: number): TestSocket {
  return plainUdpSocket(host.netns, host.inner, port);
}

function rawSocket(host: Host, protocol: number): TestSocket {
  const { AF_INET, SOCK_RAW, SOCK_NONBLOCK } = constants;
  const fd = host.netns.run(() => openSocket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, protocol));
  bindSocket(fd, encodeSocketAddress(host.inner.toBytes(), 0));
  return own(fd);
}

/** The next message, or undefined after a second. */
async function received(fd: number): Promise<Uint8Array | undefined> {
  const buffer = new Uint8Array(65_536);
  for (let i = 0; i < 200; i++) {
    const message = receiveFrom(fd, buffer);
    if (message !== undefined) return buffer.slice(0, message.length);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return undefined;
}

async function ping(from: Host, to: Address): Promise<boolean> {
  using socket = rawSocket(from, 1);
  const request = encodeIcmpEcho({ identifier: 77, sequence: 1 });
  sendTo(socket.fd, request, encodeSocketAddress(to.toBytes(), 0));
  const reply = await received(socket.fd);
  if (reply === undefined) return false;
  const message = parseIcmp(parseIpv4(reply).payload);
  return message.type === 0 && message.identifier === 77;
}

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
  const before = seen(a);
  let seed = 42;
  const random = (below: number): number => (seed = (Math.imul(seed, 48_271) >>> 0) % 0x7fff_ffff) % below;
  for (let i = 0; i < datagrams; i++) {
    const data = Uint8Array.from({ length: random(1400) }, () => random(256));
    if (i % 2 === 0 && data.length >= 20) {
      data.set([0x45, 0, data.length >> 8, data.length & 255]);
      data.set(i % 4 === 0 ? b.inner.toBytes() : [10, 9, 9, 9], 12);
      data.set([10, 5, random(3), 1], 16);
    }
    sendTo(socket.fd, data, encodeSocketAddress(a.underlay.toBytes(), 8285));
    // What the socket's buffer does is not what is tested, so never more than 200 at once.
    if (i % 200 === 0) await expect.poll(() => seen(a)).toBeGreaterThanOrEqual(before + i);
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

function seen(host: Host): number {
  const { packets, dropped } = host.backend.stats().inbound;
  return packets + sum(dropped);
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
