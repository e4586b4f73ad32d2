import type { Lease } from "@loden/lease";
import { crossings, openTestHosts, type TestHost } from "@loden/rtnetlink/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseVtepData, vxlanDeviceNames } from "./index.ts";
import { joinHost, joinHosts, run } from "./vxlan-hosts.fixture.ts";

let undo: AsyncDisposableStack;

beforeEach(() => {
  undo = new AsyncDisposableStack();
});

afterEach(() => undo.disposeAsync());

describe("openVxlanBackend() makes what flannel makes", () => {
  test("ip and bridge list flannel's entries, with its names when these are wanted", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 3 }));
    const joined = await joinHosts(undo, hosts, {
      enableIPv6: true,
      deviceNames: vxlanDeviceNames(1, "flannel"),
    });
    const [own, second, third] = joined.map(({ lease }) => macsOf(lease)) as [Macs, Macs, Macs];
    const { netns } = hosts[0];
    for (const { device, mac, mtu, local } of [
      { device: "flannel.1", mac: own.ipv4, mtu: 1450, local: "192.0.2.1" },
      { device: "flannel-v6.1", mac: own.ipv6, mtu: 1430, local: "2001:db8::1" },
    ]) {
      const link = run(netns, `ip -d link show dev ${device}`).join(" ");
      expect(link).toContain(`mtu ${mtu}`);
      expect(link).toContain(`link/ether ${mac} `);
      expect(link).toContain(`vxlan id 1 local ${local} dev eth0 srcport 0 0 dstport 8472 nolearning`);
      expect(link).toContain("noudp6zerocsumtx noudp6zerocsumrx");
      expect(link).not.toContain("gbp");
      expect(netns.getSysctl(`net/ipv6/conf/${device}/accept_ra`)).toBe("0");
    }
    expect(addressesOn(netns, "flannel.1")).toEqual(["inet 10.5.1.0/32 scope global flannel.1"]);
    expect(addressesOn(netns, "flannel-v6.1")).toEqual(["inet6 fd00:5:0:1::/128 scope global nodad"]);
    expect(run(netns, "ip neighbour show dev flannel.1").toSorted()).toEqual([
      `10.5.2.0 lladdr ${second.ipv4} PERMANENT`,
      `10.5.3.0 lladdr ${third.ipv4} PERMANENT`,
    ]);
    expect(run(netns, "ip -6 neighbour show dev flannel-v6.1").toSorted()).toEqual([
      `fd00:5:0:2:: lladdr ${second.ipv6} PERMANENT`,
      `fd00:5:0:3:: lladdr ${third.ipv6} PERMANENT`,
    ]);
    expect(run(netns, "bridge fdb show dev flannel.1").toSorted()).toEqual(
      [
        `${second.ipv4} dst 192.0.2.2 self permanent`,
        `${third.ipv4} dst 192.0.2.3 self permanent`,
      ].toSorted(),
    );
    expect(run(netns, "bridge fdb show dev flannel-v6.1").toSorted()).toEqual(
      [
        `${second.ipv6} dst 2001:db8::2 self permanent`,
        `${third.ipv6} dst 2001:db8::3 self permanent`,
      ].toSorted(),
    );
    expect(run(netns, "ip route show dev flannel.1")).toEqual([
      "10.5.2.0/24 via 10.5.2.0 proto 76 onlink",
      "10.5.3.0/24 via 10.5.3.0 proto 76 onlink",
    ]);
    expect(run(netns, "ip -6 route show dev flannel-v6.1 proto 76")).toEqual([
      "fd00:5:0:2::/64 via fd00:5:0:2:: metric 1024 onlink pref medium",
      "fd00:5:0:3::/64 via fd00:5:0:3:: metric 1024 onlink pref medium",
    ]);
  });
});

describe("openVxlanBackend() beside peers that are made by hand", () => {
  // Host 2 is what flanneld makes of a host, with plain ip and bridge commands.
  test("frames pass both ways, of both families, and with the hardware address in any form", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 2 }));
    const [first, second] = hosts;
    const { backend, lease } = await joinHost(undo, first, { enableIPv6: true });
    const macs = { ipv4: "0a:58:0a:05:02:00", ipv6: "0a:58:0a:05:02:06" };
    makeByHand(second, macs, macsOf(lease));
    await second.container.setMtu(1430);
    await backend.apply([
      {
        ...lease,
        subnet: second.subnet,
        attributes: {
          publicIP: second.ipv4,
          publicIPv6: second.ipv6,
          backendType: "vxlan",
          backendData: { VNI: 1, VtepMAC: macs.ipv4 },
          backendV6Data: { vni: 1, vtepMac: macs.ipv6.toUpperCase().replaceAll(":", "-") },
        },
      },
    ]);
    expect(await crossings(hosts, true)).toEqual([]);
  });
});

interface Macs {
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
}

function macsOf({ attributes }: Lease): Macs {
  const { backendData, backendV6Data } = attributes;
  return { ipv4: parseVtepData(backendData).mac, ipv6: parseVtepData(backendV6Data).mac };
}

function addressesOn(netns: TestHost["netns"], device: string): string[] {
  return run(netns, `ip address show dev ${device}`).filter((line) => line.startsWith("inet"));
}

function makeByHand({ netns }: TestHost, own: Macs, peer: Macs): void {
  for (const command of [
    `ip link add flannel.1 address ${own.ipv4} mtu 1450 type vxlan id 1 dev eth0 local 192.0.2.2 dstport 8472 nolearning`,
    "ip address add 10.5.2.0/32 dev flannel.1",
    "ip link set flannel.1 up",
    `ip neighbour replace 10.5.1.0 lladdr ${peer.ipv4} dev flannel.1 nud permanent`,
    `bridge fdb replace ${peer.ipv4} dev flannel.1 dst 192.0.2.1 self permanent`,
    "ip route replace 10.5.1.0/24 via 10.5.1.0 dev flannel.1 onlink",
    `ip link add flannel-v6.1 address ${own.ipv6} mtu 1430 type vxlan id 1 dev eth0 local 2001:db8::2 dstport 8472 nolearning`,
    "ip address add fd00:5:0:2::/128 dev flannel-v6.1 nodad",
    "ip link set flannel-v6.1 up",
    `ip neighbour replace fd00:5:0:1:: lladdr ${peer.ipv6} dev flannel-v6.1 nud permanent`,
    `bridge fdb replace ${peer.ipv6} dev flannel-v6.1 dst 2001:db8::1 self permanent`,
    "ip route replace fd00:5:0:1::/64 via fd00:5:0:1:: dev flannel-v6.1 onlink",
  ])
    run(netns, command);
}
