import type { Address } from "@loden/ip";
import { openRtnetlink } from "@loden/rtnetlink";
import { openTestHosts, ping, type TestHost, type TestHosts, untilRunning } from "@loden/rtnetlink/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { greetNeighbours } from "./greet-neighbours.ts";

// host 1 (192.0.2.1, 2001:db8::1) and host 2 on a switch, host 3 on another one behind the router of both
let network: TestHosts;
let first: TestHost;
let second: TestHost;
let third: TestHost;

beforeEach(async () => {
  network = await openTestHosts({ hosts: 3, behindRouter: 1 });
  [first, second, third] = network.hosts as [TestHost, TestHost, TestHost];
});

afterEach(() => network[Symbol.dispose]());

describe.each(["ipv4", "ipv6"] as const)("greetNeighbours() over %s", (family) => {
  test("makes a neighbour send to the new card of this host, which it had known by the old one", async () => {
    const [address, neighbour] = [second[family], first[family]];
    expect(await ping(first.netns, address)).toBe(true);
    const before = await macAt(first, address);
    const now = await replaceCard(second, "port2");
    expect(before).not.toBe(now);
    // The kernel tells nobody.
    expect(await macAt(first, address)).toBe(before);
    expect(await greetNeighbours([neighbour], { ...second, link: "eth0" })).toBe(1);
    await expect.poll(() => macAt(first, address)).toBe(now);
    expect(await ping(first.netns, address)).toBe(true);
  });

  test("makes a neighbour that this host knows send to it, when it took another host's address", async () => {
    const { netns, rtnetlink } = network.hosts[0];
    const address = second[family];
    expect(await ping(second.netns, network.hosts[0][family])).toBe(true);
    const prefixLength = family === "ipv4" ? 24 : 64;
    const moved = { link: "eth0", address, prefixLength, duplicateDetection: false };
    // Both know the router, and the router knows both.
    const router = openRtnetlink({ netns: network.middle });
    try {
      for (const host of [first, second]) expect(await ping(host.netns, third[family])).toBe(true);
      await second.rtnetlink.addresses.delete(moved);
      await rtnetlink.addresses.add(moved);
      const card = (await rtnetlink.links.get("eth0"))?.mac;
      const ofRouter = async (): Promise<string | undefined> =>
        (await router.neighbours.list({ link: "switch0" })).find((one) => one.address.equals(address))?.mac;
      expect(await ofRouter()).not.toBe(card);
      // One greeting is enough for all that are behind the router.
      const hosts = [third[family], third[family].plus(10)];
      expect(await greetNeighbours(hosts, { netns, link: "eth0", [family]: address })).toBe(1);
      await expect.poll(ofRouter).toBe(card);
    } finally {
      router.close();
    }
  });

  test("leaves alone what somebody entered, and greets nobody on another link", async () => {
    const { netns, rtnetlink } = first;
    const address = second[family];
    const entered = { link: "eth0", address, mac: "02:00:00:00:00:99" };
    await rtnetlink.neighbours.replace(entered);
    expect(await greetNeighbours([address], { ...first, link: "eth0" })).toBe(1);
    expect(await macAt(first, address)).toBe("02:00:00:00:00:99");
    expect(await greetNeighbours([address], { ...first, link: "cni0" })).toBe(0);
    expect(await greetNeighbours([address], { netns, link: "eth0" })).toBe(0);
  });
});

async function macAt({ rtnetlink }: TestHost, address: Address): Promise<string | undefined> {
  const neighbours = await rtnetlink.neighbours.list({ link: "eth0" });
  return neighbours.find((one) => one.address.equals(address))?.mac;
}

/** Plugs another card into the host, which gets the addresses of the old one. */
async function replaceCard(
  { netns, rtnetlink, ipv4, ipv6 }: TestHost,
  port: string,
): Promise<string | undefined> {
  using middle = openRtnetlink({ netns: network.middle });
  await rtnetlink.links.delete("eth0");
  await middle.links.add({
    name: port,
    kind: "veth",
    master: "switch0",
    up: true,
    peer: { name: "eth0", netns, up: true },
  });
  await rtnetlink.addresses.add({ link: "eth0", address: ipv4, prefixLength: 24 });
  await rtnetlink.addresses.add({ link: "eth0", address: ipv6, prefixLength: 64, duplicateDetection: false });
  await untilRunning(middle, port);
  await untilRunning(rtnetlink, "eth0");
  return (await rtnetlink.links.get("eth0"))?.mac;
}
