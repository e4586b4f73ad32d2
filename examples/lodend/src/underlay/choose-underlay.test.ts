import { type Address, parseAddress, parsePrefix } from "@loden/ip";
import type { Link, LinkAddress, ListedRoute, Rtnetlink } from "@loden/rtnetlink";
import { describe, expect, test } from "vitest";
import { LodendError } from "../exit/lodend-error.ts";
import type { Settings } from "../flags/read-settings.ts";
import type { UnderlayNeeds } from "./attach-underlay.ts";
import { chooseUnderlay } from "./choose-underlay.ts";
import { orderAddresses } from "./order-addresses.ts";

function addressOf(link: string, text: string, more: Partial<LinkAddress> = {}): LinkAddress {
  const address = parseAddress(text);
  const scope = address.isLinkLocal ? "link" : "global";
  const flags = { permanent: true, tentative: false, deprecated: false, secondary: false };
  return { link, linkIndex: 1, address, prefixLength: 24, scope, ...flags, ...more };
}

function routeOf(destination: string, more: Partial<ListedRoute> = {}): ListedRoute {
  const prefix = parsePrefix(destination);
  return { destination: prefix, table: 254, protocol: 3, scope: "global", type: "unicast", ...more };
}

const defaults = {
  links: [
    ["lo", 65_536],
    ["eth0", 1_500],
    ["eth1", 9_000],
  ] as readonly (readonly [string, number])[],
  addresses: [
    addressOf("lo", "127.0.0.1"),
    addressOf("eth0", "192.0.2.10"),
    addressOf("eth0", "fd00::10"),
    addressOf("eth1", "198.51.100.10"),
  ],
  routes: [routeOf("0.0.0.0/0", { link: "eth0", gateway: parseAddress("192.0.2.1") })],
};

function host(
  facts: Partial<typeof defaults> & { lookup?: (address: Address) => ListedRoute | undefined } = {},
): Pick<Rtnetlink, "links" | "addresses" | "routes"> {
  const { links, addresses, routes, lookup } = { ...defaults, ...facts };
  return {
    links: { list: async () => links.map(([name, mtu]) => ({ name, mtu }) as Link) },
    addresses: { list: async () => addresses },
    routes: { list: async () => routes, lookup: async (address: Address) => lookup?.(address) },
  } as unknown as Rtnetlink;
}

const nothing: Settings["interface"] = {
  names: [],
  patterns: [],
  canReach: undefined,
  publicIP: undefined,
  publicIPv6: undefined,
};

async function choose(
  wanted: Partial<Settings["interface"]>,
  facts: Parameters<typeof host>[0] = {},
  needs: UnderlayNeeds = [[4]],
): Promise<[link: string, mtu: number, ...addresses: string[]]> {
  const { link, mtu, ipv4, ipv6 } = await chooseUnderlay(host(facts), { ...nothing, ...wanted }, needs);
  return [link, mtu, ...[ipv4, ipv6].flatMap((address) => address?.toString() ?? [])];
}

const eth0 = ["eth0", 1_500, "192.0.2.10"];
const eth1 = ["eth1", 9_000, "198.51.100.10"];

describe("chooseUnderlay()", () => {
  test("takes the default route's interface when nothing is asked for", async () => {
    expect(await choose({})).toEqual(eth0);
  });

  test("takes the default route of the least metric, and the first hop of one with several", async () => {
    const gateway = parseAddress("192.0.2.1");
    const routes = [
      routeOf("0.0.0.0/0", { link: "eth0", metric: 100 }),
      routeOf("0.0.0.0/0", { metric: 50, nextHops: [{ link: "eth1", gateway }, { link: "eth0" }] }),
      routeOf("10.0.0.0/8", { link: "eth0" }),
    ];
    expect(await choose({}, { routes })).toEqual(eth1);
  });

  test("takes the first --iface that is there, by name or by address", async () => {
    expect(await choose({ names: ["wlan0", "eth1", "eth0"] })).toEqual(eth1);
    expect(await choose({ names: ["198.51.100.10"] })).toEqual(eth1);
  });

  test("takes the very address that --iface names", async () => {
    const addresses = [...defaults.addresses, addressOf("eth1", "198.51.100.11")];
    expect(await choose({ names: ["198.51.100.11"] }, { addresses })).toEqual([
      "eth1",
      9_000,
      "198.51.100.11",
    ]);
  });

  test("matches --iface-regex with addresses before names, after --iface", async () => {
    expect(await choose({ patterns: [/^198\./] })).toEqual(eth1);
    expect(await choose({ patterns: [/^eth1$/] })).toEqual(eth1);
    expect(await choose({ names: ["wlan0"], patterns: [/nothing/, /^eth1/] })).toEqual(eth1);
  });

  test("asks for the route to --iface-can-reach, and takes its source", async () => {
    const canReach = parseAddress("203.0.113.1");
    const found = routeOf("203.0.113.1/32", { link: "eth1", source: parseAddress("198.51.100.10") });
    const lookup = (address: Address): ListedRoute | undefined =>
      address.equals(canReach) ? found : undefined;
    expect(await choose({ canReach }, { lookup })).toEqual(eth1);
    await expect(choose({ canReach })).rejects.toThrow(
      "nothing fits --iface-can-reach 203.0.113.1 (no route)",
    );
  });

  test("takes --public-ip as the way to the interface where nothing else is", async () => {
    expect(await choose({ publicIP: parseAddress("198.51.100.10") })).toEqual(eth1);
    expect(await choose({ publicIPv6: parseAddress("fd00::10") })).toEqual(eth0);
  });

  test("takes the interface's own address beside --public-ip of a host behind NAT, with --iface", async () => {
    const publicIP = parseAddress("203.0.113.7");
    expect(await choose({ names: ["eth0"], publicIP })).toEqual(eth0);
    await expect(choose({ publicIP })).rejects.toThrow(
      "--public-ip 203.0.113.7 is no address of this host, expected one of lo (127.0.0.1), eth0 (192.0.2.10, fd00::10)",
    );
  });

  test("takes the addresses of both families of one interface for dual stack", async () => {
    expect(await choose({}, {}, [[4, 6]])).toEqual([...eth0, "fd00::10"]);
    await expect(choose({ names: ["eth1"] }, {}, [[4, 6]])).rejects.toThrow(
      "interface eth1 (--iface eth1) has no usable IPv6 address, expected one; its addresses: 198.51.100.10",
    );
  });

  test("takes the best set of families that the interface has, the default route's family first", async () => {
    const needs = [[4, 6], [4], [6]] as const;
    expect(await choose({ names: ["eth1"] }, {}, needs)).toEqual(eth1);
    const routes = [routeOf("::/0", { link: "eth2", gateway: parseAddress("fd00::1") })];
    const links = [...defaults.links, ["eth2", 1_400]] as const;
    const addresses = [addressOf("eth2", "fe80::1"), addressOf("eth2", "fd00::2")];
    const both = { links, addresses, routes };
    const list = async ({ family }: { family: number }): Promise<ListedRoute[]> =>
      family === 6 ? routes : [];
    const { link, ipv4, ipv6 } = await chooseUnderlay(
      { ...host(both), routes: { list } } as unknown as Rtnetlink,
      nothing,
      needs,
    );
    expect([link, String(ipv4), String(ipv6)]).toEqual(["eth2", "undefined", "fd00::2"]);
  });

  test("takes no IPv6 link-local address", async () => {
    const addresses = [addressOf("eth0", "fe80::1")];
    await expect(choose({ names: ["eth0"] }, { addresses }, [[6]])).rejects.toThrow("no usable IPv6 address");
  });

  test.each([
    [
      { names: ["wlan0"], patterns: [/^x/] },
      {},
      "nothing fits --iface wlan0, --iface-regex ^x, expected one of lo",
    ],
    [
      {},
      { routes: [] },
      "the main routing table has no IPv4 default route, expected one, or --iface with one of lo",
    ],
    [
      { names: ["eth0"] },
      { addresses: [addressOf("eth0", "fd00::10")] },
      "interface eth0 (--iface eth0) has no usable IPv4 address, expected one; its addresses: fd00::10",
    ],
    [{ names: ["eth0"] }, { links: [["eth0", 0]] as const }, "interface eth0 (--iface eth0) has an MTU of 0"],
  ])("says what it looked at: %o", async (wanted, facts, message) => {
    const error = await choose(wanted, facts).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(LodendError);
    expect([(error as LodendError).exitCode, (error as Error).message]).toEqual([
      6,
      expect.stringContaining(message),
    ]);
  });
});

describe("orderAddresses()", () => {
  test("puts global before link-local, permanent before dynamic, primary before secondary", () => {
    const shuffled = [
      addressOf("eth0", "169.254.0.1"),
      addressOf("eth0", "10.0.0.4", { permanent: false, secondary: true }),
      addressOf("eth0", "10.0.0.3", { permanent: false }),
      addressOf("eth0", "10.0.0.2", { secondary: true }),
      addressOf("eth0", "10.0.0.1"),
      addressOf("eth0", "10.0.0.9"),
    ];
    expect(orderAddresses(shuffled, 4).map(({ address }) => address.toString())).toEqual([
      "10.0.0.1",
      "10.0.0.9",
      "10.0.0.2",
      "10.0.0.3",
      "10.0.0.4",
      "169.254.0.1",
    ]);
  });

  test("leaves out other families, loopback, multicast, deprecated and tentative addresses", () => {
    const unusable = [
      addressOf("eth0", "fd00::1"),
      addressOf("lo", "127.0.0.1"),
      addressOf("eth0", "224.0.0.1"),
      addressOf("eth0", "10.0.0.1", { deprecated: true }),
      addressOf("eth0", "10.0.0.2", { tentative: true }),
    ];
    expect(orderAddresses(unusable, 4)).toEqual([]);
    expect(orderAddresses(unusable, 6)).toHaveLength(1);
  });
});
