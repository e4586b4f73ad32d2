import { openTestHosts, ping, type TestHost } from "@loden/rtnetlink/testing";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseVtepData } from "./index.ts";
import { joinHosts, run, type VxlanHost } from "./vxlan-hosts.fixture.ts";

// Three hosts of both families. Somebody else works on host 1, with ip and bridge, and afterwards all is as it was: ours and theirs.
let undo: AsyncDisposableStack;
let hosts: readonly [TestHost, TestHost, ...TestHost[]];
let joined: [VxlanHost, VxlanHost, ...VxlanHost[]];

beforeEach(async () => {
  undo = new AsyncDisposableStack();
  ({ hosts } = undo.use(await openTestHosts({ hosts: 3 })));
  const { netns } = hosts[0];
  // So that what is lost with a link that goes down is what we have to bring back.
  netns.setSysctl("net/ipv6/conf/eth0/keep_addr_on_down", 1);
  for (const command of [
    "ip link add vxlan9 address 02:00:00:00:09:01 type vxlan id 9 dev eth0 local 192.0.2.1 dstport 8472 nolearning",
    "ip link set vxlan9 up",
    "bridge fdb add 02:00:00:00:09:02 dev vxlan9 dst 192.0.2.9 self permanent",
    "ip neighbour add 192.0.2.200 lladdr 02:00:00:00:09:03 dev eth0 nud permanent",
    "ip route add 10.9.0.0/16 dev vxlan9 proto 76",
    "ip route add blackhole 10.5.1.0/24 proto 76 metric 4000",
  ])
    run(netns, command);
  joined = await joinHosts(undo, hosts, { enableIPv6: true });
});

afterEach(() => undo.disposeAsync());

/** Milliseconds until all was right again, by what was done; a figure, and no test. In it is the time that reading all of the state takes, some 150 ms. */
const took = new Map<string, number>();

afterAll(() => {
  const figures = [...took].map(([name, ms]) => `${name} ${ms}`).join(", ");
  console.log(`ms until all was right again: ${figures}`);
});

/** What the kernel takes from others when their link goes down, and what they have to bring back themselves. */
const lostWithTheLink = [
  "ip neighbour add 192.0.2.200 lladdr 02:00:00:00:09:03 dev eth0 nud permanent",
  "ip route add default via 192.0.2.254 proto static",
  "ip -6 route add default via 2001:db8::fe dev eth0 proto static",
];

describe("openVxlanBackend() puts back what others break, and touches nothing of theirs", () => {
  test.each([
    ["deletes the device", "ip link delete loden.1"],
    ["deletes both devices", "ip link delete loden.1", "ip link delete loden-v6.1"],
    ["makes another one in its place", "ip link delete loden.1", "ip link add loden.1 type bridge"],
    ["changes the hardware address", "ip link set loden.1 address 02:00:00:00:00:99"],
    ["switches the device off", "ip link set loden.1 down"],
    ["switches the IPv6 device off and on", "ip link set loden-v6.1 down", "ip link set loden-v6.1 up"],
    ["changes the MTU", "ip link set loden.1 mtu 1400"],
    ["takes the address away", "ip address delete 10.5.1.0/32 dev loden.1"],
    ["gives the device an address of the network", "ip address add 10.5.99.0/32 dev loden.1"],
    ["deletes a forwarding entry", "bridge fdb delete MAC2 dev loden.1 dst 192.0.2.2 self"],
    ["sends a peer's frames elsewhere", "bridge fdb replace MAC2 dev loden.1 dst 192.0.2.77 self permanent"],
    ["deletes a neighbour", "ip neighbour delete 10.5.2.0 dev loden.1"],
    [
      "changes a neighbour",
      "ip neighbour replace 10.5.2.0 lladdr 02:00:00:00:00:98 dev loden.1 nud permanent",
    ],
    [
      "forgets all neighbours",
      "ip neighbour flush dev loden.1 nud permanent",
      "ip -6 neighbour flush dev loden-v6.1 nud permanent",
    ],
    ["deletes a route", "ip route delete 10.5.2.0/24"],
    ["deletes an IPv6 route", "ip -6 route delete fd00:5:0:2::/64"],
    ["routes a subnet elsewhere", "ip route replace 10.5.2.0/24 via 192.0.2.254 proto 76"],
    [
      "adds what is not of any peer",
      "ip neighbour add 10.5.9.0 lladdr 02:00:00:00:00:97 dev loden.1 nud permanent",
      "bridge fdb add 02:00:00:00:00:97 dev loden.1 dst 192.0.2.97 self permanent",
      "ip route add 10.5.9.0/24 via 10.5.9.0 dev loden.1 onlink proto 76",
    ],
    ["takes the underlay down and up", "ip link set eth0 down", "ip link set eth0 up", ...lostWithTheLink],
  ])("when somebody %s", async (name, ...commands) => {
    const [{ netns }] = hosts;
    const mac = parseVtepData(joined[1].lease.attributes.backendData).mac ?? "";
    const before = snapshot(netns);
    for (const command of commands) run(netns, command.replace("MAC2", mac));
    const start = performance.now();
    await expect.poll(() => snapshot(netns), { interval: 20 }).toEqual(before);
    took.set(name, Math.round(performance.now() - start));
    expect(await ping(netns, hosts[1].container.ipv4)).toBe(true);
    expect(await ping(hosts[1].container.netns, hosts[0].container.ipv4)).toBe(true);
    expect(await ping(hosts[0].container.netns, hosts[2]?.container.ipv6 ?? hosts[1].container.ipv6)).toBe(
      true,
    );
    expect(joined[0].backend.attributes).toBe(joined[0].lease.attributes);
  });
});

/**
 * All that the namespace holds and others could have touched, without numbers that change when a link is made again, without timers, and without what the kernel does by itself
 * meanwhile: link-local addresses, and the multicast addresses that devices listen to.
 */
function snapshot(netns: TestHost["netns"]): Record<string, string[]> {
  const lines = (command: string): string[] =>
    run(netns, command)
      .map((line) => line.replace(/^\d+: /, "").replaceAll(/@if\d+|link-netnsid \d+|\w+_timer [\d.]+/g, ""))
      .filter((line) => !/fe80::|\bff00::|^33:33:|^01:00:5e:/.test(line))
      .toSorted();
  return {
    links: lines("ip -o -d link show"),
    addresses: lines("ip -o address show"),
    routes: [...lines("ip route show table all"), ...lines("ip -6 route show table all")],
    neighbours: lines("ip neighbour show nud permanent"),
    // What a bridge has learnt of its containers comes and goes by itself.
    fdb: lines("bridge fdb show").filter((line) => /\b(?:permanent|static)\b/.test(line)),
  };
}
