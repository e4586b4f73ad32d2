import { listPeerSubnets, type Membership, type Underlay } from "@loden/backend";
import { parseAddress, parsePrefix } from "@loden/ip";
import { formatLeaseValue, type Lease, type LeaseAttributes } from "@loden/lease";
import { formatStatePlan, planState, type Reach } from "@loden/route";
import { parseBackendOptions, parseNetworkConfig } from "@loden/subnet";
import { describe, expect, test } from "vitest";
import { outerFamily, planVteps, vxlanAttributes } from "./plan-vteps.ts";
import { formatVtepData } from "./vtep-data.ts";
import { vxlanDeviceNames, type VxlanSettings } from "./vxlan-settings.ts";
import { vxlanState } from "./vxlan-state.ts";

const OWN_MAC = { "loden.1": "02:00:00:00:00:01", "loden-v6.1": "02:00:00:00:06:01" } as const;
const dual: Underlay = {
  link: "eth0",
  mtu: 1500,
  ipv4: parseAddress("192.0.2.1"),
  ipv6: parseAddress("2001:db8::1"),
};
const ipv4Only: Underlay = { link: "eth0", mtu: 1500, ipv4: parseAddress("192.0.2.1") };
const ipv6Only: Underlay = { link: "eth0", mtu: 1500, ipv6: parseAddress("2001:db8::1") };

// The tables are those of flannel's pkg/backend/vxlan: device, address, and for each lease ARP, FDB and route, in this order. Ours differ in the device's
// name, in addrgenmode, and in the protocol number of routes.
describe("vxlanState()", () => {
  test("gives flannel's table, entry by entry, when the network is IPv4", () => {
    const { commands, mtu, lease } = tableOf({ underlay: ipv4Only, peers: [leaseOf(2), leaseOf(3)] });
    expect(commands).toEqual([
      "ip link add loden.1 mtu 1450 address 02:00:00:00:00:01 type vxlan id 1 dev eth0 local 192.0.2.1 nolearning",
      "ip link set dev loden.1 addrgenmode none",
      "ip link set dev loden.1 up",
      "ip address add 10.5.1.0/32 dev loden.1",
      "ip neighbour add 10.5.2.0 lladdr 02:00:00:00:00:02 dev loden.1 nud permanent",
      "ip neighbour add 10.5.3.0 lladdr 02:00:00:00:00:03 dev loden.1 nud permanent",
      "bridge fdb add 02:00:00:00:00:02 dev loden.1 dst 192.0.2.2 self permanent",
      "bridge fdb add 02:00:00:00:00:03 dev loden.1 dst 192.0.2.3 self permanent",
      "ip route add 10.5.2.0/24 via 10.5.2.0 dev loden.1 proto 76 onlink",
      "ip route add 10.5.3.0/24 via 10.5.3.0 dev loden.1 proto 76 onlink",
    ]);
    expect(mtu).toEqual([1450]);
    expect(lease).toBe(
      '{"PublicIP":"192.0.2.1","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:01"}}',
    );
  });

  test("gives flannel's tables of both devices, with the overhead of each, when the network has both families", () => {
    const { commands, mtu, lease } = tableOf({ underlay: dual, peers: [leaseOf(2)], enableIPv6: true });
    expect(commands).toEqual([
      "ip link add loden.1 mtu 1450 address 02:00:00:00:00:01 type vxlan id 1 dev eth0 local 192.0.2.1 nolearning",
      "ip link set dev loden.1 addrgenmode none",
      "ip link set dev loden.1 up",
      "ip link add loden-v6.1 mtu 1430 address 02:00:00:00:06:01 type vxlan id 1 dev eth0 local 2001:db8::1 nolearning",
      "ip link set dev loden-v6.1 addrgenmode none",
      "ip link set dev loden-v6.1 up",
      "ip address add 10.5.1.0/32 dev loden.1",
      "ip address add fd00:5:0:1::/128 dev loden-v6.1 nodad",
      "ip neighbour add 10.5.2.0 lladdr 02:00:00:00:00:02 dev loden.1 nud permanent",
      "ip neighbour add fd00:5:0:2:: lladdr 02:00:00:00:06:02 dev loden-v6.1 nud permanent",
      "bridge fdb add 02:00:00:00:00:02 dev loden.1 dst 192.0.2.2 self permanent",
      "bridge fdb add 02:00:00:00:06:02 dev loden-v6.1 dst 2001:db8::2 self permanent",
      "ip route add 10.5.2.0/24 via 10.5.2.0 dev loden.1 proto 76 onlink",
      "ip route add fd00:5:0:2::/64 via fd00:5:0:2:: dev loden-v6.1 proto 76 onlink",
    ]);
    expect(mtu).toEqual([1450, 1430]);
    expect(lease).toBe(
      '{"PublicIP":"192.0.2.1","PublicIPv6":"2001:db8::1","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:01"},' +
        '"BackendV6Data":{"VNI":1,"VtepMAC":"02:00:00:00:06:01"}}',
    );
  });

  test("carries both families over one device when the underlay is IPv6 alone", () => {
    const peer = leaseOf(2, {
      publicIP: undefined,
      backendData: formatVtepData({ vni: 1, mac: "02:00:00:00:06:02" }),
    });
    const { commands, mtu, lease } = tableOf({ underlay: ipv6Only, peers: [peer], enableIPv6: true });
    expect(commands).toEqual([
      "ip link add loden-v6.1 mtu 1430 address 02:00:00:00:06:01 type vxlan id 1 dev eth0 local 2001:db8::1 nolearning",
      "ip link set dev loden-v6.1 addrgenmode none",
      "ip link set dev loden-v6.1 up",
      "ip address add 10.5.1.0/32 dev loden-v6.1",
      "ip address add fd00:5:0:1::/128 dev loden-v6.1 nodad",
      "ip neighbour add 10.5.2.0 lladdr 02:00:00:00:06:02 dev loden-v6.1 nud permanent",
      "ip neighbour add fd00:5:0:2:: lladdr 02:00:00:00:06:02 dev loden-v6.1 nud permanent",
      "bridge fdb add 02:00:00:00:06:02 dev loden-v6.1 dst 2001:db8::2 self permanent",
      "ip route add 10.5.2.0/24 via 10.5.2.0 dev loden-v6.1 proto 76 onlink",
      "ip route add fd00:5:0:2::/64 via fd00:5:0:2:: dev loden-v6.1 proto 76 onlink",
    ]);
    expect(mtu).toEqual([1430]);
    expect(lease).toBe(
      '{"PublicIP":"0.0.0.0","PublicIPv6":"2001:db8::1","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:06:01"},' +
        '"BackendV6Data":{"VNI":1,"VtepMAC":"02:00:00:00:06:01"}}',
    );
  });

  test("carries both families over one device when the underlay is IPv4 alone", () => {
    const peer = leaseOf(2, {
      publicIPv6: undefined,
      backendV6Data: formatVtepData({ vni: 1, mac: "02:00:00:00:00:02" }),
    });
    const { commands, mtu } = tableOf({ underlay: ipv4Only, peers: [peer], enableIPv6: true });
    expect(commands.filter((command) => !command.startsWith("ip neighbour"))).toEqual([
      "ip link add loden.1 mtu 1450 address 02:00:00:00:00:01 type vxlan id 1 dev eth0 local 192.0.2.1 nolearning",
      "ip link set dev loden.1 addrgenmode none",
      "ip link set dev loden.1 up",
      "ip address add 10.5.1.0/32 dev loden.1",
      "ip address add fd00:5:0:1::/128 dev loden.1 nodad",
      "bridge fdb add 02:00:00:00:00:02 dev loden.1 dst 192.0.2.2 self permanent",
      "ip route add 10.5.2.0/24 via 10.5.2.0 dev loden.1 proto 76 onlink",
      "ip route add fd00:5:0:2::/64 via fd00:5:0:2:: dev loden.1 proto 76 onlink",
    ]);
    expect(mtu).toEqual([1450]);
  });

  test("takes VNI, port, MTU, GBP and learning from the network's configuration", () => {
    const backend = ',"VNI":7,"Port":4789,"MTU":9001,"GBP":true,"Learning":true';
    const { commands, mtu } = tableOf({ underlay: ipv4Only, peers: [], backend });
    expect(commands).toEqual([
      "ip link add loden.7 mtu 8951 address 02:00:00:00:00:01 type vxlan id 7 dev eth0 local 192.0.2.1 dstport 4789 learning gbp",
      "ip link set dev loden.7 addrgenmode none",
      "ip link set dev loden.7 up",
      "ip address add 10.5.1.0/32 dev loden.7",
    ]);
    expect(mtu).toEqual([8951]);
  });

  test("sends from its own address and publishes the other one when it is behind 1:1 NAT", () => {
    const { commands, lease } = tableOf({ underlay: ipv4Only, peers: [], publicIP: "203.0.113.1" });
    expect(commands[0]).toContain("local 192.0.2.1");
    expect(lease).toContain('"PublicIP":"203.0.113.1"');
  });

  test("routes to neighbours directly, and to others through the device, when direct routing is on", () => {
    const reach = new Map<string, Reach>([
      ["192.0.2.2", { kind: "neighbour", link: "eth0" }],
      ["192.0.2.3", { kind: "router", link: "eth0", router: parseAddress("192.0.2.254") }],
    ]);
    const peers = [leaseOf(2), leaseOf(3), leaseOf(4)];
    const { commands } = tableOf({ underlay: ipv4Only, peers, reach, backend: ',"DirectRouting":true' });
    expect(commands.slice(4)).toEqual([
      "ip neighbour add 10.5.3.0 lladdr 02:00:00:00:00:03 dev loden.1 nud permanent",
      "ip neighbour add 10.5.4.0 lladdr 02:00:00:00:00:04 dev loden.1 nud permanent",
      "bridge fdb add 02:00:00:00:00:03 dev loden.1 dst 192.0.2.3 self permanent",
      "bridge fdb add 02:00:00:00:00:04 dev loden.1 dst 192.0.2.4 self permanent",
      "ip route add 10.5.2.0/24 via 192.0.2.2 proto 76",
      "ip route add 10.5.3.0/24 via 10.5.3.0 dev loden.1 proto 76 onlink",
      "ip route add 10.5.4.0/24 via 10.5.4.0 dev loden.1 proto 76 onlink",
    ]);
    const { commands: without } = tableOf({ underlay: ipv4Only, peers, reach });
    expect(without.filter((command) => command.includes("onlink"))).toHaveLength(3);
  });

  test.each([
    [
      "publishes no hardware address",
      { backendData: { VNI: 1, VtepMAC: null } },
      "it publishes no hardware address of its VXLAN device",
    ],
    [
      "publishes nothing of its device",
      { backendData: undefined },
      "it publishes no hardware address of its VXLAN device",
    ],
    [
      "publishes what is no address",
      { backendData: { VNI: 1, VtepMAC: "x" } },
      'its backend data can\'t be read: Cannot parse hardware address: it is "x", expected 6 bytes such as "02:00:5e:10:00:01"',
    ],
    [
      "has the hardware address of this host",
      { backendData: { VNI: 1, VtepMAC: "02:00:00:00:00:01" } },
      "its VXLAN device has the hardware address of this host's, 02:00:00:00:00:01",
    ],
    [
      "has that of another peer",
      { backendData: { VNI: 1, VtepMAC: "02:00:00:00:00:02" } },
      "its VXLAN device has the hardware address of that of another peer, 02:00:00:00:00:02 at 192.0.2.2",
    ],
  ])("leaves out a peer that %s, says why, and keeps the others", (_, attributes, reason) => {
    const peers = [leaseOf(2), leaseOf(3, attributes), leaseOf(4)];
    const { commands, skipped } = tableOf({ underlay: ipv4Only, peers });
    expect(commands).toHaveLength(4 + 2 * 3);
    expect(commands.filter((command) => command.includes("10.5.3.0"))).toEqual([]);
    expect(skipped).toEqual([{ subnet: "10.5.3.0/24", reason }]);
  });

  test("gives a hardware address that two hosts publish to the lease that was written last, wherever it stands", () => {
    const { backendData } = leaseOf(3).attributes;
    const left = { ...leaseOf(2, { backendData }), expiresAt: 1_000 };
    const back = { ...leaseOf(3), expiresAt: 2_000 };
    for (const peers of [
      [left, back],
      [back, left],
    ]) {
      const { commands, skipped } = tableOf({ underlay: ipv4Only, peers });
      expect(commands).toContain("bridge fdb add 02:00:00:00:00:03 dev loden.1 dst 192.0.2.3 self permanent");
      expect(skipped).toMatchObject([{ subnet: "10.5.2.0/24" }]);
    }
  });

  test("serves a peer that publishes another VNI, as flannel does, and says so", () => {
    const backendData = formatVtepData({ vni: 7, mac: "02:00:00:00:00:02" });
    const { commands, skipped, doubts } = tableOf({
      underlay: ipv4Only,
      peers: [leaseOf(2, { backendData }), leaseOf(3)],
    });
    expect(commands).toHaveLength(4 + 2 * 3);
    expect(skipped).toEqual([]);
    expect(doubts).toEqual([
      {
        subnet: "10.5.2.0/24",
        reason: "its VXLAN device has the VNI 7, expected 1, which this host's has",
      },
    ]);
  });
});

describe("planVteps()", () => {
  test("refuses an underlay that can't carry the network", () => {
    expect(() => tableOf({ underlay: { link: "eth0", mtu: 1500 }, peers: [] })).toThrow("it has no address");
    expect(() => tableOf({ underlay: { ...dual, mtu: 1300 }, peers: [], enableIPv6: true })).toThrow(
      "its MTU is 1300, expected 1350 to 65535 bytes",
    );
    expect(() => tableOf({ underlay: { ...ipv4Only, mtu: 100 }, peers: [] })).toThrow(RangeError);
  });
});

describe("vxlanDeviceNames()", () => {
  test.each([
    [1, undefined, { ipv4: "loden.1", ipv6: "loden-v6.1" }],
    [1, "flannel", { ipv4: "flannel.1", ipv6: "flannel-v6.1" }],
    [16_777_215, undefined, { ipv4: "loden.16777215", ipv6: "loden6.16777215" }],
  ])("names the devices of VNI %d with prefix %s", (vni, prefix, names) => {
    expect(vxlanDeviceNames(vni, prefix)).toEqual(names);
  });

  test("refuses names that the kernel would refuse", () => {
    expect(() => vxlanDeviceNames(16_777_215, "flannel")).toThrow(RangeError);
  });
});

interface Case {
  readonly underlay: Underlay;
  readonly peers: readonly Lease[];
  readonly backend?: string;
  readonly enableIPv6?: boolean;
  readonly reach?: ReadonlyMap<string, Reach>;
  readonly publicIP?: string;
}

function tableOf({ underlay, peers, backend = "", enableIPv6 = false, reach = new Map(), publicIP }: Case) {
  const network = parseNetworkConfig(
    `{"Network":"10.5.0.0/16"${enableIPv6 ? ',"EnableIPv6":true,"IPv6Network":"fd00:5::/48"' : ""},"Backend":{"Type":"vxlan"${backend}}}`,
  );
  const options = parseBackendOptions(network, "vxlan");
  const settings: VxlanSettings = {
    ...options,
    enableIPv4: true,
    enableIPv6,
    deviceNames: vxlanDeviceNames(options.vni),
    publicIP: publicIP === undefined ? undefined : parseAddress(publicIP),
  };
  const vteps = planVteps(
    settings,
    underlay,
    (device) => OWN_MAC[device.replace(/\d+$/, "1") as keyof typeof OWN_MAC],
  );
  const attributes = vxlanAttributes(settings, underlay, vteps);
  const subnet = leaseOf(1).subnet;
  const lease: Lease = { ...leaseOf(1), subnet: enableIPv6 ? subnet : { ipv4: subnet.ipv4 }, attributes };
  const membership: Membership = { network, lease };
  const listed = listPeerSubnets({
    backendType: "vxlan",
    membership,
    peers,
    outerFamily: (family) => outerFamily(underlay, family),
  });
  const { state, peers: served, doubts } = vxlanState({ settings, underlay, vteps, lease, listed, reach });
  const nothing = { links: [], addresses: [], neighbours: [], fdb: [], routes: [] };
  const scope = { links: Object.values(settings.deviceNames), table: 254, protocol: 76 };
  return {
    commands: formatStatePlan(planState(state, nothing, scope))
      .trimEnd()
      .split("\n"),
    mtu: vteps.map(({ mtu }) => mtu),
    lease: formatLeaseValue(attributes),
    skipped: served.skipped,
    doubts,
  };
}

function leaseOf(number: number, attributes: Partial<LeaseAttributes> = {}): Lease {
  const mac = (family: string): string => `02:00:00:00:${family}:0${number}`;
  return {
    subnet: { ipv4: parsePrefix(`10.5.${number}.0/24`), ipv6: parsePrefix(`fd00:5:0:${number}::/64`) },
    attributes: {
      publicIP: parseAddress(`192.0.2.${number}`),
      publicIPv6: parseAddress(`2001:db8::${number}`),
      backendType: "vxlan",
      backendData: formatVtepData({ vni: 1, mac: mac("00") }),
      backendV6Data: formatVtepData({ vni: 1, mac: mac("06") }),
      ...attributes,
    },
    expiresAt: undefined,
    revision: "1",
  };
}
