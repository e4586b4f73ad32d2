import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { type Address, addressFromNumber, parseAddress, parsePrefix } from "@loden/ip";
import { encodeSocketAddress, sendTo, yieldProcessor } from "@loden/linux";
import { createNetns, type Netns } from "@loden/netns";
import { openRtnetlink, type Rtnetlink } from "@loden/rtnetlink";
import { untilRunning } from "@loden/rtnetlink/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { plainUdpSocket } from "../host-sockets.fixture.ts";
import { createPlainPaths, type PlainPaths } from "./plain-paths.ts";

// +------- host --------+      +------------------ router ------------------+
// | eth0  192.0.2.1/24  |------| host   192.0.2.2/24                        |
// | eth1  192.0.3.1/24  |------| side   192.0.3.2/24                        |
// +---------------------+      | hop    192.0.4.2/24, a bridge, of MTU 1400 |
//                              +--------------------------------------------+
let host: Netns;
let router: Netns;
let rtnetlink: Rtnetlink;
let paths: PlainPaths;
const source = parseAddress("192.0.2.1");
const gateway = parseAddress("192.0.2.2");
const far = parseAddress("192.0.4.9");

beforeEach(async () => {
  host = createNetns();
  router = createNetns();
  rtnetlink = openRtnetlink({ netns: host });
  using across = openRtnetlink({ netns: router });
  for (const [name, peer, net] of [
    ["eth0", "host", 2],
    ["eth1", "side", 3],
  ] as const) {
    const other = { name: peer, netns: router, up: true };
    await rtnetlink.links.add({ name, kind: "veth", up: true, peer: other });
    const at = (number: number): Address => parseAddress(`192.0.${net}.${number}`);
    await rtnetlink.addresses.add({ link: name, address: at(1), prefixLength: 24 });
    await across.addresses.add({ link: peer, address: at(2), prefixLength: 24 });
    await untilRunning(rtnetlink, name);
  }
  await across.links.add({ name: "hop", kind: "bridge", mtu: 1400, up: true });
  await across.addresses.add({ link: "hop", address: parseAddress("192.0.4.2"), prefixLength: 24 });
  router.run(() => writeFileSync("/proc/sys/net/ipv4/ip_forward", "1"));
  const { index } = (await rtnetlink.links.get("eth0"))!;
  const link = { linkIndex: index, linkMtu: 1500 };
  paths = createPlainPaths(rtnetlink, { ...link, source, port: 8285, giveWay: yieldProcessor });
});

afterEach(() => {
  rtnetlink.close();
  host.close();
  router.close();
});

async function arePlain(...endpoints: readonly string[]): Promise<readonly (boolean | undefined)[]> {
  const addresses = endpoints.map((text) => parseAddress(text));
  await paths.resolve(addresses);
  return addresses.map((address) => paths.isPlain(address));
}
const ip = (words: string): unknown =>
  host.run(() => execFileSync("ip", words.split(" "), { stdio: "pipe" }));

test("isPlain() holds for neighbours and behind a gateway of the link, and not for what has no route or ends here", async () => {
  expect(await arePlain("192.0.2.2", "198.51.100.1", "192.0.2.1", "192.0.3.1", "192.0.2.255")).toEqual([
    true,
    false,
    false,
    false,
    false,
  ]);
  await rtnetlink.routes.add({ destination: parsePrefix("0.0.0.0/0"), gateway });
  expect(await arePlain("198.51.100.1", "198.51.100.2")).toEqual([false, true]);
  paths.forget(parsePrefix("0.0.0.0/0"));
  expect(await arePlain("198.51.100.1")).toEqual([true]);
});

test("isPlain() fails for more specific routes: through another device, narrower, blackholes, into a tunnel", async () => {
  await rtnetlink.routes.addMany([
    { destination: parsePrefix("10.0.0.0/8"), gateway },
    { destination: parsePrefix("10.1.0.0/16"), gateway: parseAddress("192.0.3.2") },
    { destination: parsePrefix("10.2.0.0/16"), gateway, mtu: 1300 },
    { destination: parsePrefix("10.3.0.0/16"), type: "blackhole" },
    { destination: parsePrefix("10.4.0.0/16"), type: "unreachable" },
    { destination: parsePrefix("10.5.0.0/16"), type: "prohibit" },
    { destination: parsePrefix("10.6.0.0/16"), gateway, mtu: 1500 },
  ]);
  ip("route add 10.7.0.0/16 encap ip id 7 dst 192.0.2.9 dev eth0");
  const endpoints = Array.from({ length: 8 }, (_, i) => `10.${i}.0.9`);
  expect(await arePlain(...endpoints)).toEqual([true, false, false, false, false, false, true, false]);
});

test("isPlain() fails when a router has told of a smaller MTU, once the endpoint is looked up again", async () => {
  await rtnetlink.routes.add({ destination: parsePrefix("0.0.0.0/0"), gateway });
  expect(await arePlain("192.0.4.9", "192.0.4.10")).toEqual([true, true]);
  using socket = plainUdpSocket(host, source, 8285);
  sendTo(socket.fd, new Uint8Array(1472), encodeSocketAddress(far.toBytes(), 8285));
  await expect
    .poll(() => {
      paths.forget(parsePrefix("192.0.4.9/32"));
      return arePlain("192.0.4.9", "192.0.4.10");
    })
    .toEqual([false, true]);
});

test("isPlain() fails when rules lead datagrams another way than the program's packets", async () => {
  await rtnetlink.routes.addMany([
    { destination: parsePrefix("0.0.0.0/0"), gateway },
    { destination: parsePrefix("0.0.0.0/0"), gateway: parseAddress("192.0.3.2"), table: 100 },
    { destination: parsePrefix("0.0.0.0/0"), gateway: parseAddress("192.0.2.3"), table: 101 },
  ]);
  const outcomes = [];
  for (const rule of [
    "from 192.0.9.0/24 table 100",
    "from 192.0.2.1 table 100",
    "from 192.0.2.1 table 101",
    "to 198.51.100.0/24 table 100",
    "ipproto udp dport 8285 table 100",
    "ipproto udp sport 8285 table 101",
    "ipproto udp dport 53 table 101",
    "oif eth0 table 101",
  ]) {
    ip(`rule add ${rule}`);
    paths.forget();
    outcomes.push([rule, ...(await arePlain("198.51.100.1"))]);
    ip(`rule delete ${rule}`);
  }
  expect(outcomes).toEqual([
    ["from 192.0.9.0/24 table 100", true],
    ["from 192.0.2.1 table 100", false],
    // The same one for both.
    ["from 192.0.2.1 table 101", true],
    ["to 198.51.100.0/24 table 100", false],
    ["ipproto udp dport 8285 table 100", false],
    ["ipproto udp sport 8285 table 101", false],
    ["ipproto udp dport 53 table 101", true],
    ["oif eth0 table 101", false],
  ]);
});

test("resolve() looks thousands of endpoints up", async () => {
  await rtnetlink.routes.addMany([
    { destination: parsePrefix("10.0.0.0/8"), gateway },
    { destination: parsePrefix("10.0.4.0/22"), gateway: parseAddress("192.0.3.2") },
  ]);
  const endpoints = Array.from({ length: 3_000 }, (_, i) => addressFromNumber(0x0a00_0000 + i));
  await paths.resolve(endpoints);
  const away = endpoints.filter((endpoint) => paths.isPlain(endpoint) === false);
  expect(away).toEqual(endpoints.slice(0x400, 0x800));
  expect(endpoints.every((endpoint) => paths.isPlain(endpoint) !== undefined)).toBe(true);
});
