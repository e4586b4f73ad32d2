import type { BackendEvent } from "@loden/backend";
import { parseAddress, parsePrefix } from "@loden/ip";
import type { Lease } from "@loden/lease";
import { formatRoute } from "@loden/rtnetlink";
import { crossings, openTestHosts, ping, type TestHost } from "@loden/rtnetlink/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { clearVxlan, formatVtepData, parseVtepData, vxlanDeviceNames } from "./index.ts";
import {
  collectEvents,
  joinHost,
  joinHosts,
  networks,
  run,
  underlayOf,
  type VxlanHost,
} from "./vxlan-hosts.fixture.ts";

let undo: AsyncDisposableStack;
let events: BackendEvent[];

beforeEach(() => {
  undo = new AsyncDisposableStack();
  events = collectEvents(undo);
});

afterEach(() => undo.disposeAsync());

describe("openVxlanBackend() follows its host", () => {
  test("publishes another hardware address when somebody insists on it, and peers reach it there", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 2 }));
    const [first, second] = await joinHosts(undo, hosts);
    const { netns } = first.host;
    const mac = () => parseVtepData(first.backend.attributes.backendData).mac;
    const before = mac();
    run(netns, "ip link set loden.1 address 02:00:00:00:00:99");
    await expect.poll(() => run(netns, "ip link show dev loden.1").join(" ")).toContain(before);
    expect(mac()).toBe(before);
    run(netns, "ip link set loden.1 address 02:00:00:00:00:99");
    await expect.poll(mac).toBe("02:00:00:00:00:99");
    expect(events).toMatchObject([{ type: "attributesChanged", attributes: first.backend.attributes }]);
    await second.backend.apply([republished(first)]);
    expect(run(second.host.netns, "bridge fdb show dev loden.1")).toEqual([
      "02:00:00:00:00:99 dst 192.0.2.1 self permanent",
    ]);
    expect(run(second.host.netns, "ip neighbour show dev loden.1")).toEqual([
      "10.5.1.0 lladdr 02:00:00:00:00:99 PERMANENT",
    ]);
    expect(await crossings(hosts, false)).toEqual([]);
    expect(run(netns, "ip link show dev loden.1").join(" ")).toContain("link/ether 02:00:00:00:00:99");
  });

  test("setUnderlay() takes another address and another MTU, with the same hardware addresses", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 2 }));
    const [first, second] = await joinHosts(undo, hosts, { enableIPv6: true });
    const { netns } = first.host;
    for (const command of [
      "ip address delete 192.0.2.1/24 dev eth0",
      "ip address add 192.0.2.91/24 dev eth0",
      "ip -6 address delete 2001:db8::1/64 dev eth0",
      "ip -6 address add 2001:db8::91/64 dev eth0 nodad",
      "ip link set eth0 mtu 1400",
    ])
      run(netns, command);
    const underlay = {
      link: "eth0",
      mtu: 1400,
      ipv4: parseAddress("192.0.2.91"),
      ipv6: parseAddress("2001:db8::91"),
    };
    await first.backend.setUnderlay(underlay);
    const { publicIP, publicIPv6, ...published } = first.backend.attributes;
    expect([publicIP, publicIPv6].join(" ")).toBe("192.0.2.91 2001:db8::91");
    expect(first.lease.attributes).toMatchObject(published);
    expect(events.map(({ type }) => type)).toEqual(["mtuChanged", "attributesChanged"]);
    expect(run(netns, "ip link show dev loden-v6.1").join(" ")).toContain("mtu 1330");
    await second.backend.apply([republished(first)]);
    expect(run(second.host.netns, "bridge fdb show dev loden.1").join(" ")).toMatch(
      /^\S+ dst 192\.0\.2\.91 self permanent$/,
    );
    for (const { container } of hosts) await container.setMtu(1330);
    expect(await crossings(hosts, true)).toEqual([]);
  });

  test("makes its devices again when the underlay's interface was deleted and is back", async () => {
    const network = undo.use(await openTestHosts({ hosts: 2 }));
    const { hosts, middle } = network;
    const [first] = await joinHosts(undo, hosts);
    const { netns } = first.host;
    run(netns, "ip link delete eth0");
    await expect.poll(() => run(netns, "ip -o link show").join(" ")).not.toContain("loden.1");
    expect(await ping(netns, hosts[1].container.ipv4, { forMs: 200 })).toBe(false);
    run(middle, "ip link add port1 type veth peer name back1");
    run(middle, "ip link set port1 master switch0 up");
    run(middle, `ip link set back1 netns /proc/${process.pid}/fd/${netns.fd} name eth0`);
    for (const command of ["ip address add 192.0.2.1/24 dev eth0", "ip link set eth0 up"])
      run(netns, command);
    await first.backend.setUnderlay(underlayOf(first.host));
    expect(await crossings(hosts, false)).toEqual([]);
    expect(first.backend.attributes).toBe(first.lease.attributes);
  });

  test("goes on over a bridge that the underlay's interface became a port of", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 2 }));
    const [first] = await joinHosts(undo, hosts);
    for (const command of [
      "ip link add br0 type bridge",
      "ip address delete 192.0.2.1/24 dev eth0",
      "ip link set eth0 master br0",
      "ip link set br0 up",
      "ip address add 192.0.2.1/24 dev br0",
    ])
      run(first.host.netns, command);
    await first.backend.setUnderlay({ ...underlayOf(first.host), link: "br0" });
    expect(run(first.host.netns, "ip -d link show dev loden.1").join(" ")).toContain("dev br0");
    expect(await crossings(hosts, false)).toEqual([]);
  });

  test.for([
    ["VLAN", ["ip link add link eth0 name up0 type vlan id 5"]],
    [
      "bond",
      [
        "ip link add up0 type bond mode active-backup",
        "ip link set eth0 down",
        "ip link set eth0 master up0",
      ],
    ],
  ] as const)(
    "carries packets over a %s, unless the kernel says that it has no such links",
    async ([kind, commands]) => {
      const { hosts } = undo.use(await openTestHosts({ hosts: 2 }));
      for (const { netns, ipv4 } of hosts) {
        const address = `${ipv4.toString()}/24`;
        for (const command of [`ip address delete ${address} dev eth0`, ...commands]) {
          try {
            run(netns, command);
          } catch (error) {
            if (!String(error).includes("Unknown device type")) throw error;
            console.log(`not tested: packets over a ${kind}, of which this kernel has no driver`);
            return;
          }
        }
        for (const command of [
          "ip link set eth0 up",
          "ip link set up0 up",
          `ip address add ${address} dev up0`,
        ])
          run(netns, command);
      }
      await joinHosts(undo, hosts, (host) => ({ underlay: { ...underlayOf(host), link: "up0" } }));
      expect(await crossings(hosts, false)).toEqual([]);
    },
  );
});

describe("openVxlanBackend() serves all others", () => {
  test("when leases name what is no device, wherever they stand, and says so once of each", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 2 }));
    const [first, second] = await joinHosts(undo, hosts);
    const { netns } = first.host;
    const tables = () => [
      ...run(netns, "bridge fdb show dev loden.1"),
      ...run(netns, "ip neighbour show dev loden.1"),
      ...run(netns, "ip route show proto 76"),
    ];
    const before = tables();
    const bad = ["zz", "02:00:00:00:00", "02:00:00:00:00:00:00:01", "01:00:5e:00:00:01", 7, null].map(
      (mac, i): Lease => ({
        ...second.lease,
        subnet: { ipv4: parsePrefix(`10.5.${60 + i}.0/24`) },
        attributes: {
          backendType: "vxlan",
          publicIP: parseAddress(`192.0.2.${60 + i}`),
          backendData: { VNI: 1, VtepMAC: mac },
        },
      }),
    );
    for (const peers of [
      [...bad, second.lease],
      [second.lease, ...bad],
    ]) {
      await first.backend.apply(peers);
      expect(tables()).toEqual(before);
    }
    expect(events.map((event) => (event.type === "peerSkipped" ? event.subnet : event))).toEqual(
      bad.map(({ subnet }) => String(subnet.ipv4)),
    );
    expect(await crossings(hosts, false)).toEqual([]);
  });

  test("and one whose lease has another VNI, of which it says so once", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 2 }));
    const [first, second] = await joinHosts(undo, hosts);
    const mac = macOf(second) ?? "";
    const attributes = { ...second.lease.attributes, backendData: formatVtepData({ vni: 7, mac }) };
    for (let i = 0; i < 2; i++) await first.backend.apply([{ ...second.lease, attributes }]);
    expect(events).toMatchObject([{ type: "peerDoubtful", backend: "vxlan", subnet: "10.5.2.0/24" }]);
    expect(await crossings(hosts, false)).toEqual([]);
  });

  test("when another program's route has a peer's place, and that peer too when it is gone", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 3 }));
    const { netns } = hosts[0];
    run(netns, "ip route add 10.5.2.0/24 via 192.0.2.254 proto static");
    const [first] = await joinHosts(undo, hosts);
    expect(events).toMatchObject([{ type: "peerSkipped", backend: "vxlan", subnet: "10.5.2.0/24" }]);
    expect(first.backend.stats().peers).toBe(1);
    expect(run(netns, "ip route show 10.5.2.0/24")).toEqual([
      "10.5.2.0/24 via 192.0.2.254 dev eth0 proto static",
    ]);
    expect(await ping(hosts[0].container.netns, hosts[2]?.container.ipv4 ?? hosts[0].ipv4)).toBe(true);
    run(netns, "ip route delete 10.5.2.0/24 via 192.0.2.254");
    await expect.poll(() => first.backend.stats().peers).toBe(2);
    expect(await crossings(hosts, false)).toEqual([]);
  });
});

describe("openVxlanBackend() with direct routing", () => {
  test("routes to neighbours plainly and to others through the tunnel, and looks again when that changes", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 3, behindRouter: 1 }));
    const [first] = await joinHosts(undo, hosts, { directRouting: true, enableIPv6: true });
    const direct = "10.5.2.0/24 via 192.0.2.2 dev eth0 proto 76";
    const tunnelled = "10.5.3.0/24 via 10.5.3.0 dev loden.1 proto 76 onlink";
    expect(await overlayRoutes(first.host)).toEqual([direct, tunnelled]);
    expect(await crossings(hosts, true)).toEqual([]);
    run(first.host.netns, "ip address add 198.51.100.77/24 dev eth0");
    await expect
      .poll(() => overlayRoutes(first.host))
      .toEqual([direct, "10.5.3.0/24 via 198.51.100.3 dev eth0 proto 76"]);
    expect(run(first.host.netns, "bridge fdb show dev loden.1")).toEqual([]);
    run(first.host.netns, "ip address delete 198.51.100.77/24 dev eth0");
    await expect.poll(() => overlayRoutes(first.host)).toEqual([direct, tunnelled]);
    expect(await crossings(hosts, true)).toEqual([]);
    expect(events).toEqual([]);
  });
});

describe("openVxlanBackend() after a restart", () => {
  test("takes the device over, and nothing stale is left of peers that died, moved or swapped addresses", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 4 }));
    const [first, second, third, fourth] = (await joinHosts(undo, hosts)) as [
      VxlanHost,
      VxlanHost,
      VxlanHost,
      VxlanHost,
    ];
    const { netns } = first.host;
    run(netns, "ip route add 10.9.0.0/16 dev lo proto 76");
    await first.backend.close({ keep: true });
    expect(await ping(first.host.container.netns, second.host.container.ipv4)).toBe(true);
    const index = run(netns, "ip -o link show dev loden.1")[0]?.split(":")[0];

    // While it is down, host 4 dies, and hosts 2 and 3 swap addresses; they keep their subnets and their devices.
    await fourth.backend.close();
    const swapped = [
      { ...second.lease, attributes: { ...second.lease.attributes, publicIP: third.host.ipv4 } },
      { ...third.lease, attributes: { ...third.lease.attributes, publicIP: second.host.ipv4 } },
    ];
    const again = await joinHost(undo, first.host);
    expect(again.backend.attributes).toEqual(first.lease.attributes);
    await again.backend.apply(swapped);
    expect(run(netns, "ip -o link show dev loden.1")[0]?.split(":")[0]).toBe(index);
    expect(run(netns, "bridge fdb show dev loden.1").toSorted()).toEqual(
      [
        `${macOf(second)} dst 192.0.2.3 self permanent`,
        `${macOf(third)} dst 192.0.2.2 self permanent`,
      ].toSorted(),
    );
    expect(run(netns, "ip neighbour show dev loden.1").toSorted()).toEqual([
      `10.5.2.0 lladdr ${macOf(second)} PERMANENT`,
      `10.5.3.0 lladdr ${macOf(third)} PERMANENT`,
    ]);
    expect(run(netns, "ip route show proto 76")).toEqual([
      "10.5.2.0/24 via 10.5.2.0 dev loden.1 onlink",
      "10.5.3.0/24 via 10.5.3.0 dev loden.1 onlink",
      "10.9.0.0/16 dev lo scope link",
    ]);
  });

  test("makes a device again that is another one, with the same hardware address", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 2 }));
    const { netns } = hosts[0];
    run(netns, "ip link add loden.1 address 02:00:00:00:00:77 type vxlan id 3 dstport 4789");
    const { backend } = await joinHost(undo, hosts[0]);
    expect(parseVtepData(backend.attributes.backendData).mac).toBe("02:00:00:00:00:77");
    const link = run(netns, "ip -d link show dev loden.1").join(" ");
    expect(link).toContain("02:00:00:00:00:77");
    expect(link).toContain("vxlan id 1 local 192.0.2.1 dev eth0");
  });

  test("clearVxlan() removes all of it without a backend, and nothing else", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 2 }));
    const { netns } = hosts[0];
    const all = () => [
      ...run(netns, "ip -o link show"),
      ...run(netns, "ip route show"),
      ...run(netns, "ip -6 route show proto 76"),
    ];
    run(netns, "ip route add 10.9.0.0/16 dev lo proto 76");
    const before = all();
    const [first] = await joinHosts(undo, hosts, { enableIPv6: true, directRouting: true });
    await first.backend.close({ keep: true });
    expect(all().length).toBeGreaterThan(before.length);
    const { removed } = await clearVxlan({ network: networks.dual, deviceNames: vxlanDeviceNames(1), netns });
    expect(removed.filter(({ type }) => type === "link")).toHaveLength(2);
    expect(all()).toEqual(before);
  });
});

function republished({ backend, lease }: VxlanHost): Lease {
  return { ...lease, attributes: backend.attributes };
}

function macOf({ lease }: VxlanHost): string | undefined {
  return parseVtepData(lease.attributes.backendData).mac;
}

async function overlayRoutes({ rtnetlink }: TestHost): Promise<string[]> {
  const routes = await rtnetlink.routes.list({ protocol: 76 });
  return routes.filter(({ destination }) => destination.family === 4).map(formatRoute);
}
