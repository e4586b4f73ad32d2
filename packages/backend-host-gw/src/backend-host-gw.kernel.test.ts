import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Backend, BackendEvent } from "@loden/backend";
import { parseAddress, parsePrefix } from "@loden/ip";
import { formatLeaseValue, type Lease } from "@loden/lease";
import { formatRoute, type ListedRoute } from "@loden/rtnetlink";
import { crossings, openTestHosts, ping, type TestHost, type TestHosts } from "@loden/rtnetlink/testing";
import { parseNetworkConfig } from "@loden/subnet";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { clearHostGw, openHostGwBackend, type HostGwBackendOptions } from "./index.ts";

const ipv4Network = parseNetworkConfig('{"Network":"10.5.0.0/16","Backend":{"Type":"host-gw"}}');
const dualNetwork = parseNetworkConfig(
  '{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48","Backend":{"Type":"host-gw"}}',
);

let undo: AsyncDisposableStack;
let events: BackendEvent[];

beforeEach(() => {
  undo = new AsyncDisposableStack();
  events = [];
  const listen = (event: unknown): void => void events.push(event as BackendEvent);
  subscribe("loden:backend", listen);
  undo.defer(() => void unsubscribe("loden:backend", listen));
});

afterEach(() => undo.disposeAsync());

describe.each([
  ["IPv4", ipv4Network],
  ["dual stack", dualNetwork],
])("openHostGwBackend() joins three hosts, %s", (_, network) => {
  test("ping, TCP and large UDP cross between containers both ways, with their own source", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 3 }));
    await joinAll(hosts, { enableIPv6: network.enableIPv6 });
    expect(await crossings(hosts, network.enableIPv6)).toEqual([]);
    expect(events).toEqual([]);
  });
});

describe("openHostGwBackend()", () => {
  test("makes the routes of flannel's host-gw backend, and says what its leases say", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 3 }));
    const [backend] = await joinAll(hosts, { enableIPv6: true });
    expect(await overlayRoutes(hosts[0])).toEqual([
      "10.5.2.0/24 via 192.0.2.2 dev eth0 proto 76",
      "10.5.3.0/24 via 192.0.2.3 dev eth0 proto 76",
      "fd00:5:0:2::/64 via 2001:db8::2 dev eth0 proto 76 metric 1024",
      "fd00:5:0:3::/64 via 2001:db8::3 dev eth0 proto 76 metric 1024",
    ]);
    expect(backend?.mtu).toBe(1500);
    expect(formatLeaseValue(backend?.attributes ?? { backendType: "" })).toBe(
      '{"PublicIP":"192.0.2.1","PublicIPv6":"2001:db8::1","BackendType":"host-gw"}',
    );
  });

  test("refuses an announced address that is not the underlay's own", async () => {
    const underlay = {
      link: "eth0",
      mtu: 1500,
      ipv4: parseAddress("192.0.2.1"),
      ipv6: parseAddress("2001:db8::1"),
    };
    const publicIP = parseAddress("203.0.113.1");
    expect(() => openHostGwBackend({ underlay, publicIP })).toThrow(
      "the public address is 203.0.113.1, expected the underlay's own, 192.0.2.1",
    );
    const publicIPv6 = parseAddress("2001:db8:9::1");
    expect(() => openHostGwBackend({ underlay, publicIPv6, enableIPv6: true })).toThrow(RangeError);
    expect(() => openHostGwBackend({ underlay: { link: "eth0", mtu: 1500 } })).toThrow(
      "it has no IPv4 address",
    );
    await using backend = openHostGwBackend({ underlay, publicIP: parseAddress("192.0.2.1") });
    await expect(backend.setUnderlay({ ...underlay, ipv4: parseAddress("192.0.2.7") })).rejects.toThrow(
      RangeError,
    );
  });

  test("leaves out a peer behind a router and says so once, until routes make it a neighbour", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 3, behindRouter: 1 }));
    const [backend] = await joinAll(hosts);
    const reason =
      "its host 198.51.100.3 is behind the router 192.0.2.254 on eth0, expected a neighbour on eth0: host-gw needs all hosts on one link";
    const skipped = { type: "peerSkipped", backend: "host-gw", subnet: "10.5.3.0/24", reason };
    expect(events.filter((event) => "subnet" in event && event.subnet === "10.5.3.0/24")).toEqual([
      skipped,
      skipped,
    ]);
    await backend?.apply(hosts.slice(1).map((host) => leaseOf(host, false)));
    expect(events.filter((event) => "subnet" in event && event.subnet === "10.5.3.0/24")).toHaveLength(2);
    expect(backend?.stats().peers).toBe(1);
    const address = { link: "eth0", address: parseAddress("198.51.100.77"), prefixLength: 24 };
    await hosts[0].rtnetlink.addresses.add(address);
    await expect.poll(() => backend?.stats().peers).toBe(2);
    expect(await overlayRoutes(hosts[0])).toContain("10.5.3.0/24 via 198.51.100.3 dev eth0 proto 76");
    await hosts[0].rtnetlink.addresses.delete(address);
    await expect.poll(() => backend?.stats().peers).toBe(1);
    expect(await overlayRoutes(hosts[0])).toEqual(["10.5.2.0/24 via 192.0.2.2 dev eth0 proto 76"]);
  });

  test("carries packets between hosts with addresses of their own alone when onlink is wanted", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 2 }));
    for (const { rtnetlink, ipv4 } of hosts) {
      await rtnetlink.addresses.delete({ link: "eth0", address: ipv4, prefixLength: 24 });
      await rtnetlink.addresses.add({ link: "eth0", address: ipv4, prefixLength: 32 });
    }
    await joinAll(hosts, { onlink: true });
    expect(await overlayRoutes(hosts[0])).toEqual(["10.5.2.0/24 via 192.0.2.2 dev eth0 proto 76 onlink"]);
    expect(await ping(hosts[0].container.netns, hosts[1].container.ipv4)).toBe(true);
    expect(events).toEqual([]);
  });
});

describe("openHostGwBackend() keeps what it made", () => {
  test("a deleted route comes back, and one that another program changed", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 2 }));
    await joinAll(hosts);
    const [first, second] = hosts;
    const { routes } = first.rtnetlink;
    const [route] = (await routes.list({ protocol: 76 })) as [ListedRoute];
    await routes.delete(route);
    await expect.poll(() => overlayRoutes(first)).toEqual(["10.5.2.0/24 via 192.0.2.2 dev eth0 proto 76"]);
    await routes.replace({ ...route, gateway: parseAddress("192.0.2.66") });
    await expect.poll(() => overlayRoutes(first)).toEqual(["10.5.2.0/24 via 192.0.2.2 dev eth0 proto 76"]);
    expect(await ping(first.container.netns, second.container.ipv4)).toBe(true);
  });

  test("an underlay that went down and up carries packets again, and nobody else's routes were touched", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 2 }));
    await joinAll(hosts, { enableIPv6: true });
    const [first, second] = hosts;
    const foreign = { destination: parsePrefix("10.6.0.0/16"), link: "lo", protocol: 76 };
    await first.rtnetlink.routes.add(foreign);
    const before = await overlayRoutes(first);
    await first.rtnetlink.links.set("eth0", { up: false });
    await first.rtnetlink.links.set("eth0", { up: true });
    await first.rtnetlink.addresses
      .add({ link: "eth0", address: first.ipv6, prefixLength: 64, duplicateDetection: false })
      .catch(() => undefined); // the kernel forgot it, as it does with IPv6
    await expect.poll(() => overlayRoutes(first)).toEqual(before);
    expect(await ping(first.container.netns, second.container.ipv4)).toBe(true);
    expect(await ping(first.container.netns, second.container.ipv6)).toBe(true);
    expect((await first.rtnetlink.routes.list({ protocol: 76 })).map(formatRoute)).toContain(
      "10.6.0.0/16 dev lo proto 76 scope link",
    );
  });

  test("setUnderlay() moves to another address and another MTU", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 2 }));
    const [backend, other] = await joinAll(hosts);
    const [first, second] = hosts;
    const ipv4 = parseAddress("192.0.2.99");
    await first.rtnetlink.addresses.delete({ link: "eth0", address: first.ipv4, prefixLength: 24 });
    await first.rtnetlink.addresses.add({ link: "eth0", address: ipv4, prefixLength: 24 });
    await backend?.setUnderlay({ link: "eth0", mtu: 1400, ipv4 });
    expect(backend?.mtu).toBe(1400);
    const { attributes } = backend as Backend;
    expect(events.slice(-2)).toEqual([
      { type: "mtuChanged", backend: "host-gw", before: 1500, mtu: 1400 },
      { type: "attributesChanged", backend: "host-gw", attributes },
    ]);
    await other?.apply([{ ...leaseOf(first, false), attributes }]);
    expect(await overlayRoutes(second)).toEqual(["10.5.1.0/24 via 192.0.2.99 dev eth0 proto 76"]);
    expect(await ping(first.container.netns, second.container.ipv4)).toBe(true);
    expect(await ping(second.container.netns, first.container.ipv4)).toBe(true);
  });

  test("a backend that starts again takes over what is there, and removes what is stale", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 3 }));
    const [backend] = await joinAll(hosts);
    const [first, second, third] = hosts as [TestHost, TestHost, TestHost];
    await backend?.close({ keep: true });
    expect(await ping(first.container.netns, second.container.ipv4)).toBe(true);
    // While it is down, host 3 has gone and host 2 has moved to its address.
    const moved: Lease = {
      ...leaseOf(second, false),
      attributes: { publicIP: third.ipv4, backendType: "host-gw" },
    };
    await join(first, {}, [moved]);
    expect(await overlayRoutes(first)).toEqual(["10.5.2.0/24 via 192.0.2.3 dev eth0 proto 76"]);
  });

  test("clearHostGw() removes all of it without a backend, and nothing else", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 3 }));
    const [backend] = await joinAll(hosts);
    const [first] = hosts;
    await first.rtnetlink.routes.add({ destination: parsePrefix("10.6.0.0/16"), link: "lo", protocol: 76 });
    await backend?.close({ keep: true });
    const before = await allRoutes(first);
    const { removed } = await clearHostGw({ network: ipv4Network, netns: first.netns });
    expect(removed).toHaveLength(2);
    expect(await allRoutes(first)).toEqual(before.filter((route) => !/^10\.5\.[23]/.test(route)));
  });
});

/** Opens a backend on each host and makes all of them peers. */
async function joinAll(
  hosts: TestHosts["hosts"],
  options: Partial<HostGwBackendOptions> = {},
): Promise<Backend[]> {
  return Promise.all(
    hosts.map((host) => {
      const peers = hosts.filter((other) => other !== host);
      return join(
        host,
        options,
        peers.map((peer) => leaseOf(peer, options.enableIPv6 === true)),
      );
    }),
  );
}

async function join(
  host: TestHost,
  options: Partial<HostGwBackendOptions>,
  peers: readonly Lease[],
): Promise<Backend> {
  const { netns, ipv4, ipv6 } = host;
  const backend = undo.use(
    openHostGwBackend({ netns, underlay: { link: "eth0", mtu: 1500, ipv4, ipv6 }, ...options }),
  );
  const isDual = options.enableIPv6 === true;
  const { subnet } = leaseOf(host, isDual);
  const lease = { subnet, attributes: backend.attributes, expiresAt: undefined, revision: "1" };
  await backend.join({ lease, network: isDual ? dualNetwork : ipv4Network });
  await backend.apply(peers);
  return backend;
}

function leaseOf(host: TestHost, isDual: boolean): Lease {
  const { ipv4, ipv6, subnet } = host;
  return {
    subnet: { ipv4: subnet.ipv4, ...(isDual && { ipv6: subnet.ipv6 }) },
    attributes: { publicIP: ipv4, ...(isDual && { publicIPv6: ipv6 }), backendType: "host-gw" },
    expiresAt: undefined,
    revision: "1",
  };
}

async function overlayRoutes(host: TestHost): Promise<string[]> {
  return (await allRoutes(host)).filter((route) => route.includes("proto 76") && !route.startsWith("10.6."));
}

async function allRoutes({ rtnetlink }: TestHost): Promise<string[]> {
  return (await rtnetlink.routes.list()).map(formatRoute);
}
