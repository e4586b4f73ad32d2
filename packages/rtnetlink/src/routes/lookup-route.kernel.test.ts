import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { addressFromNumber, parseAddress, parsePrefix } from "@loden/ip";
import { closeFd, constants, encodeSocketAddress, openSocket, sendTo } from "@loden/linux";
import { createNetns, type Netns } from "@loden/netns";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openRtnetlink, type Rtnetlink } from "../open-rtnetlink.ts";
import { untilRunning } from "../testing/until-running.ts";

// +------- host --------+        +------- router --------+
// | eth0  192.0.2.1/24  |--------| host   192.0.2.2/24   |
// | eth1  192.0.3.1/24  |--------| side   192.0.3.2/24   |
// +---------------------+        | hop    192.0.4.2/24, a bridge with MTU 1400 |
//                                +-----------------------+
let host: Netns;
let router: Netns;
let kernel: Rtnetlink;
const far = parseAddress("192.0.4.9");
const gateway = parseAddress("192.0.2.2");

beforeEach(async () => {
  host = createNetns();
  router = createNetns();
  kernel = openRtnetlink({ netns: host });
  using across = openRtnetlink({ netns: router });
  for (const [link, peer, net] of [
    ["eth0", "host", 2],
    ["eth1", "side", 3],
  ] as const) {
    await kernel.links.add({
      name: link,
      kind: "veth",
      up: true,
      peer: { name: peer, netns: router, up: true },
    });
    await kernel.addresses.add({ link, address: parseAddress(`192.0.${net}.1`), prefixLength: 24 });
    await across.addresses.add({ link: peer, address: parseAddress(`192.0.${net}.2`), prefixLength: 24 });
    await untilRunning(kernel, link);
  }
  await across.links.add({ name: "hop", kind: "bridge", mtu: 1400, up: true });
  await across.addresses.add({ link: "hop", address: parseAddress("192.0.4.2"), prefixLength: 24 });
  router.run(() => writeFileSync("/proc/sys/net/ipv4/ip_forward", "1"));
  await kernel.routes.add({ destination: parsePrefix("0.0.0.0/0"), gateway });
});

afterEach(() => {
  kernel.close();
  host.close();
  router.close();
});

const ip = (words: string): unknown =>
  host.run(() => execFileSync("ip", words.split(" "), { stdio: "pipe" }));

describe("routes.lookup()", () => {
  test("routes.lookup() gives the MTU that a route was given, and none when it has none", async () => {
    await kernel.routes.add({ destination: parsePrefix("10.9.0.0/16"), gateway, mtu: 1300 });
    expect(await kernel.routes.lookup(parseAddress("10.9.1.1"))).toMatchObject({ link: "eth0", mtu: 1300 });
    expect((await kernel.routes.lookup(parseAddress("10.8.1.1")))?.mtu).toBeUndefined();
  });

  test("routes.lookup() gives the path's MTU when a router has told of it", async () => {
    expect((await kernel.routes.lookup(far))?.mtu).toBeUndefined();
    const socket = host.run(() => openSocket(constants.AF_INET, constants.SOCK_DGRAM));
    try {
      // UDP forbids routers to cut it.
      sendTo(socket, new Uint8Array(1472), encodeSocketAddress(far.toBytes(), 7000));
      await expect.poll(async () => (await kernel.routes.lookup(far))?.mtu).toBe(1400);
    } finally {
      closeFd(socket);
    }
    expect((await kernel.routes.lookup(far.plus(1)))?.mtu).toBeUndefined();
  });

  test("routes.lookup() heeds rules about the source, the ports and the link when it is told of them", async () => {
    ip("route add default via 192.0.3.2 table 100");
    const linkOf = async (
      options?: Parameters<typeof kernel.routes.lookup>[1],
    ): Promise<string | undefined> => (await kernel.routes.lookup(far, options))?.link;
    const source = parseAddress("192.0.2.1");
    ip("rule add from 192.0.2.1 table 100");
    expect([await linkOf(), await linkOf({ source })]).toEqual(["eth0", "eth1"]);
    ip("rule delete from 192.0.2.1 table 100");
    const udp = { protocol: 17, sourcePort: 8285, destinationPort: 8472 };
    const tcp = { ...udp, protocol: 6 };
    for (const selector of ["ipproto udp sport 8285", "ipproto udp dport 8472"]) {
      ip(`rule add ${selector} table 100`);
      expect([selector, await linkOf(), await linkOf(udp)]).toEqual([selector, "eth0", "eth1"]);
      expect(await linkOf(tcp)).toBe("eth0");
      ip(`rule delete ${selector} table 100`);
    }
    ip("rule add ipproto tcp table 100");
    expect([await linkOf(), await linkOf(udp), await linkOf(tcp)]).toEqual(["eth0", "eth0", "eth1"]);
    ip("rule delete ipproto tcp table 100");
    const { index } = (await kernel.links.get("eth1"))!;
    ip("rule add oif eth1 table 100");
    expect([await linkOf(), await linkOf({ outputLinkIndex: index })]).toEqual(["eth0", "eth1"]);
    expect(await linkOf({ source: parseAddress("203.0.113.1") })).toBeUndefined();
  });

  test("routes.lookup() tells what a route wraps packets in", async () => {
    ip("route add 10.9.0.0/16 encap ip id 7 dst 192.0.2.9 dev eth0");
    expect(await kernel.routes.lookup(parseAddress("10.9.1.1"))).toMatchObject({ encapsulation: 2 });
    expect((await kernel.routes.lookup(far))?.encapsulation).toBeUndefined();
  });
});

describe("routes.lookupMany()", () => {
  test("routes.lookupMany() gives what routes.lookup() gives for each, giving way in between", async () => {
    await kernel.routes.add({ destination: parsePrefix("10.9.0.16/28"), type: "blackhole" });
    await kernel.routes.add({ destination: parsePrefix("10.9.0.64/26"), gateway: parseAddress("192.0.3.2") });
    const addresses = [
      ...Array.from({ length: 1_000 }, (_, i) => addressFromNumber(0x0a09_0000 + i)),
      parseAddress("192.0.2.1"),
      parseAddress("2001:db8::1"),
    ];
    let ways = 0;
    const found = await kernel.routes.lookupMany(addresses, { giveWay: () => ways++ });
    const expected = [];
    for (const address of addresses) expected.push(await kernel.routes.lookup(address));
    expect(found).toEqual(expected);
    expect(ways).toBe(Math.ceil(1_002 / 32));
    expect([found[0]?.link, found[16], found[64]?.link, found[1_000]?.type, found[1_001]]).toEqual([
      "eth0",
      undefined,
      "eth1",
      "local",
      undefined,
    ]);
    expect(await kernel.routes.lookupMany([])).toEqual([]);
  });

  test("routes.lookupMany() stops when its signal aborts", async () => {
    const controller = new AbortController();
    const addresses = Array.from({ length: 2_000 }, (_, i) => addressFromNumber(0x0a09_0000 + i));
    let ways = 0;
    const looking = kernel.routes.lookupMany(addresses, { signal: controller.signal, giveWay: () => ways++ });
    controller.abort(new Error("enough"));
    await expect(looking).rejects.toThrow("enough");
    expect(ways).toBeLessThan(2_000 / 32);
    // What was on its way then does not come as an answer to this.
    expect(await kernel.routes.lookup(far)).toMatchObject({ link: "eth0" });
  });
});
