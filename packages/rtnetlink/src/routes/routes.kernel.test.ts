import { parseAddress, parsePrefix, type Prefix } from "@loden/ip";
import { createNetns, type Netns } from "@loden/netns";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openRtnetlink, type Rtnetlink } from "../open-rtnetlink.ts";
import { formatRoute } from "./format-route.ts";
import type { Route } from "./route.ts";

// +----- host -----+
// | br0, a bridge  |
// +----------------+
let host: Netns;
let kernel: Rtnetlink;

beforeEach(() => {
  host = createNetns();
  kernel = openRtnetlink({ netns: host });
});

afterEach(() => {
  kernel.close();
  host.close();
});

describe("routes", () => {
  beforeEach(async () => {
    await kernel.links.add({ name: "br0", kind: "bridge", addrGenMode: "none", up: true });
    await kernel.addresses.add({ link: "br0", address: parseAddress("10.0.0.1"), prefixLength: 24 });
    await kernel.addresses.add({
      link: "br0",
      address: parseAddress("fd00::1"),
      prefixLength: 64,
      duplicateDetection: false,
    });
  });

  test("routes.add() adds what routes.list() lists", async () => {
    const routes: Route[] = [
      { destination: parsePrefix("0.0.0.0/0"), gateway: parseAddress("10.0.0.254") },
      {
        destination: parsePrefix("10.1.0.0/16"),
        gateway: parseAddress("10.0.0.7"),
        protocol: 76,
        metric: 5,
        mtu: 1300,
      },
      { destination: parsePrefix("10.2.0.0/16"), link: "br0", source: parseAddress("10.0.0.1") },
      {
        destination: parsePrefix("10.3.0.0/16"),
        gateway: parseAddress("192.0.2.1"),
        link: "br0",
        onlink: true,
      },
      { destination: parsePrefix("10.4.0.0/16"), type: "blackhole" },
      { destination: parsePrefix("10.5.0.0/16"), gateway: parseAddress("fd00::7"), link: "br0" },
      {
        destination: parsePrefix("10.6.0.0/16"),
        nextHops: [
          { link: "br0", gateway: parseAddress("10.0.0.3") },
          { link: "br0", gateway: parseAddress("10.0.0.4"), weight: 3 },
        ],
      },
      { destination: parsePrefix("10.7.0.1/32"), link: "br0", table: 1000 },
      { destination: parsePrefix("::/0"), gateway: parseAddress("fd00::fe") },
      { destination: parsePrefix("fd01::/64"), link: "br0", metric: 7, source: parseAddress("fd00::1") },
    ];
    for (const route of routes) await kernel.routes.add(route);
    expect((await kernel.routes.list()).filter(({ protocol }) => protocol !== 2).map(formatRoute)).toEqual([
      "0.0.0.0/0 via 10.0.0.254 dev br0 proto static",
      "10.1.0.0/16 via 10.0.0.7 dev br0 proto 76 metric 5 mtu 1300",
      "10.2.0.0/16 dev br0 proto static scope link src 10.0.0.1",
      "10.3.0.0/16 via 192.0.2.1 dev br0 proto static onlink",
      "blackhole 10.4.0.0/16 proto static",
      "10.5.0.0/16 via fd00::7 dev br0 proto static",
      "10.6.0.0/16 proto static nexthop via 10.0.0.3 dev br0 weight 1 nexthop via 10.0.0.4 dev br0 weight 3",
      "fd01::/64 dev br0 proto static src fd00::1 metric 7",
      "::/0 via fd00::fe dev br0 proto static metric 1024",
    ]);
    expect((await kernel.routes.list({ table: 1000 })).map(formatRoute)).toEqual([
      "10.7.0.1/32 dev br0 table 1000 proto static scope link",
    ]);
    expect(await kernel.routes.list({ table: 1001 })).toEqual([]);
    expect(await kernel.routes.list({ protocol: 76 })).toHaveLength(1);
    expect(
      (await kernel.routes.list({ family: 6 })).every(({ destination }) => destination.family === 6),
    ).toBe(true);
    expect(new Set((await kernel.routes.list({ table: "all" })).map(({ table }) => table))).toEqual(
      new Set([254, 255, 1000]),
    );
    for (const route of routes) await kernel.routes.delete(route);
    expect((await kernel.routes.list({ table: "all" })).filter(({ protocol }) => protocol !== 2)).toEqual([]);
  });

  test("routes.lookup() gives link and source of the route to an address, undefined when there is none", async () => {
    await kernel.routes.add({ destination: parsePrefix("10.9.0.0/16"), gateway: parseAddress("10.0.0.254") });
    expect(await kernel.routes.lookup(parseAddress("10.9.1.1"))).toMatchObject({
      link: "br0",
      source: parseAddress("10.0.0.1"),
      gateway: parseAddress("10.0.0.254"),
      type: "unicast",
    });
    expect(await kernel.routes.lookup(parseAddress("fd00::9"))).toMatchObject({ link: "br0" });
    expect(await kernel.routes.lookup(parseAddress("10.0.0.1"))).toMatchObject({ link: "lo", type: "local" });
    expect(await kernel.routes.lookup(parseAddress("198.51.100.1"))).toBeUndefined();
    expect(await kernel.routes.lookup(parseAddress("2001:db8::1"))).toBeUndefined();
  });

  test("routes.replace() puts a route in the place of another", async () => {
    const destination = parsePrefix("10.1.0.0/16");
    await kernel.routes.add({ destination, gateway: parseAddress("10.0.0.7") });
    await kernel.routes.replace({ destination, gateway: parseAddress("10.0.0.8") });
    expect(await kernel.routes.list({ protocol: 4 })).toMatchObject([{ gateway: parseAddress("10.0.0.8") }]);
  });

  test("routes.delete() deletes only what matches all that is given", async () => {
    const destination = parsePrefix("10.1.0.0/16");
    await kernel.routes.add({ destination, gateway: parseAddress("10.0.0.7"), protocol: 4 });
    await expect(kernel.routes.delete({ destination, protocol: 76 })).rejects.toMatchObject({
      code: "ESRCH",
    });
    await expect(
      kernel.routes.delete({ destination, gateway: parseAddress("10.0.0.8") }),
    ).rejects.toMatchObject({
      code: "ESRCH",
    });
    await kernel.routes.delete({ destination });
    expect(await kernel.routes.list({ protocol: 4 })).toEqual([]);
  });

  test("routes.add() rejects with the kernel's text and the route's when it is refused", async () => {
    const away = { destination: parsePrefix("10.1.0.0/16"), gateway: parseAddress("198.51.100.1") };
    await expect(kernel.routes.add(away)).rejects.toMatchObject({
      code: "ENETUNREACH",
      errno: 101,
      syscall: "netlink",
      detail: "Nexthop has invalid gateway",
      message:
        "Cannot add route 10.1.0.0/16 via 198.51.100.1: network is unreachable (ENETUNREACH from netlink): " +
        "Nexthop has invalid gateway",
    });
    await expect(kernel.routes.add({ ...away, link: "nope" })).rejects.toMatchObject({
      code: "ENODEV",
      message: expect.stringMatching(/^Cannot add route 10\.1\.0\.0\/16 via 198\.51\.100\.1 dev nope: /),
    });
  });

  test("routes.addMany() carries 1,000 routes out and names those that are refused", async () => {
    const routes = Array.from({ length: 1000 }, (_, index) => ({
      destination: subnet(index),
      link: "br0",
      protocol: 76,
    }));
    await kernel.routes.addMany(routes);
    expect((await kernel.routes.list({ protocol: 76 })).map(({ destination }) => destination)).toEqual(
      routes.map(({ destination }) => destination),
    );
    const more = [routes[3]!, { ...routes[0]!, destination: subnet(1000) }, routes[4]!];
    const error = await kernel.routes.addMany(more).then(String, (reason: unknown) => reason);
    expect(error).toBeInstanceOf(AggregateError);
    expect((error as AggregateError).message).toMatch(
      /^Cannot add routes: 2 of 3 were refused, the first: Cannot add route 10\.100\.3\.0\/24 dev br0 proto 76: /,
    );
    expect((error as AggregateError).errors).toMatchObject([{ code: "EEXIST" }, { code: "EEXIST" }]);
    const outcomes = await kernel.routes.change([
      { verb: "delete", route: routes[0]! },
      { verb: "delete", route: routes[0]! },
      { verb: "replace", route: { ...routes[1]!, link: "nope" } },
      { verb: "add", route: routes[0]! },
    ]);
    expect(outcomes.map((outcome) => outcome?.code)).toEqual([undefined, "ESRCH", "ENODEV", undefined]);
    await kernel.routes.deleteMany(await kernel.routes.list({ protocol: 76 }));
    expect(await kernel.routes.list({ protocol: 76 })).toEqual([]);
  });

  test("routes.addMany() stops between batches when its signal aborts", async () => {
    const controller = new AbortController();
    const routes = Array.from({ length: 2000 }, (_, index) => ({
      destination: subnet(index),
      link: "br0",
      protocol: 76,
    }));
    const adding = kernel.routes.addMany(routes, { signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(adding).rejects.toThrow("enough");
    const { length } = await kernel.routes.list({ protocol: 76 });
    expect(length).toBeLessThan(2000);
    await expect(kernel.routes.list({ signal: controller.signal })).rejects.toThrow("enough");
  });

  test("routes.list() lists one state when routes change during the dump", async () => {
    const routes = Array.from({ length: 1000 }, (_, index) => ({
      destination: subnet(index),
      link: "br0",
      protocol: 76,
    }));
    await kernel.routes.addMany(routes);
    using second = openRtnetlink({ netns: host });
    const [listed] = await Promise.all([
      kernel.routes.list({ protocol: 76 }),
      second.routes.deleteMany(routes),
    ]);
    expect([0, 1000]).toContain(listed.length);
  });
});

/** 10.100.0.0/24, 10.100.1.0/24, ... */
function subnet(index: number): Prefix {
  return parsePrefix(`10.${100 + (index >> 8)}.${index & 255}.0/24`);
}
