import { parseAddress, parsePrefix, type Prefix } from "@loden/ip";
import { KernelError } from "@loden/linux";
import { createNetns, type Netns } from "@loden/netns";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openRtnetlink, type Rtnetlink } from "./open-rtnetlink.ts";
import { formatRoute } from "./routes/format-route.ts";
import type { Route } from "./routes/route.ts";
import type { RtnetlinkEvent } from "./watch.ts";

// +---- left -----+        +---- right ----+
// | (made by the  |- veth -| (made by the  |
// |  tests)       |        |  tests)       |
// +---------------+        +---------------+
let left: Netns;
let right: Netns;
let kernel: Rtnetlink;
let far: Rtnetlink;

beforeEach(() => {
  left = createNetns();
  right = createNetns();
  kernel = openRtnetlink({ netns: left });
  far = openRtnetlink({ netns: right });
});

afterEach(() => {
  kernel.close();
  far.close();
  left.close();
  right.close();
});

describe("links", () => {
  test("links.add() makes a veth whose other end is in another namespace", async () => {
    await kernel.links.add({
      name: "wire",
      kind: "veth",
      mtu: 1400,
      mac: "02:00:00:00:00:01",
      addrGenMode: "none",
      up: true,
      peer: {
        name: "eth0",
        netns: right,
        mtu: 1300,
        mac: "02:00:00:00:00:02",
        addrGenMode: "none",
        up: true,
      },
    });
    const near = await kernel.links.get("wire");
    const peer = await far.links.get("eth0");
    expect(near).toMatchObject({
      kind: "veth",
      mtu: 1400,
      up: true,
      running: true,
      mac: "02:00:00:00:00:01",
    });
    expect(peer).toMatchObject({
      kind: "veth",
      mtu: 1300,
      up: true,
      running: true,
      mac: "02:00:00:00:00:02",
    });
    expect([near?.addrGenMode, peer?.addrGenMode]).toEqual(["none", "none"]);
    expect([near?.peerIndex, peer?.peerIndex]).toEqual([peer?.index, near?.index]);
    expect(await kernel.links.get("eth0")).toBeUndefined();
    expect((await far.addresses.list({ link: "eth0" })).length).toBe(0);
    await far.links.delete("eth0");
    expect(await kernel.links.get("wire")).toBeUndefined();
  });

  test("links.add() makes a veth with both ends here, and a bridge", async () => {
    await kernel.links.add({ name: "a", kind: "veth", peer: { name: "b", up: true } });
    await kernel.links.add({ name: "br0", kind: "bridge" });
    expect((await kernel.links.list()).map(({ name, kind, up }) => [name, kind, up])).toEqual([
      ["lo", undefined, false],
      ["b", "veth", true],
      ["a", "veth", false],
      ["br0", "bridge", false],
    ]);
  });

  test("links.set() changes every setting of a link", async () => {
    await kernel.links.add({ name: "br0", kind: "bridge", up: true });
    await kernel.links.add({ name: "a", kind: "veth", master: "br0", peer: { name: "b" } });
    expect(await kernel.links.get("a")).toMatchObject({ master: "br0", up: false });
    expect((await kernel.links.list()).find(({ name }) => name === "a")).toEqual(await kernel.links.get("a"));
    await kernel.links.set("a", { master: null });
    expect(await kernel.links.get("a")).toMatchObject({ master: undefined });
    await kernel.links.set("a", {
      name: "c",
      mtu: 1300,
      mac: "02:00:00:00:00:09",
      master: "br0",
      addrGenMode: "none",
    });
    await kernel.links.set("c", { up: true });
    expect(await kernel.links.get("c")).toMatchObject({
      mtu: 1300,
      mac: "02:00:00:00:00:09",
      master: "br0",
      addrGenMode: "none",
      up: true,
    });
    await kernel.links.set("c", { up: false });
    expect(await kernel.links.get("c")).toMatchObject({ up: false });
    await kernel.links.set("c", {});
  });

  test("links.set() moves a link into another namespace under another name", async () => {
    await kernel.links.add({ name: "a", kind: "veth", peer: { name: "b" } });
    await kernel.links.set("b", { netns: right, name: "eth0", up: true });
    expect(await kernel.links.get("b")).toBeUndefined();
    expect(await far.links.get("eth0")).toMatchObject({ kind: "veth", up: true });
  });

  test("links methods reject with an error that names the link when the kernel refuses", async () => {
    await kernel.links.add({ name: "br0", kind: "bridge" });
    await expect(kernel.links.delete("nope")).rejects.toBeInstanceOf(KernelError);
    await expect(kernel.links.add({ name: "br0", kind: "bridge" })).rejects.toMatchObject({
      code: "EEXIST",
      errno: 17,
      syscall: "netlink",
      message: expect.stringMatching(/^Cannot add link br0 of kind bridge: /),
    });
    await expect(kernel.links.add({ name: "x", kind: "nonsense" })).rejects.toMatchObject({
      errno: 95,
      detail: "Unknown device type",
    });
    await expect(kernel.links.set("nope", { up: true })).rejects.toMatchObject({
      code: "ENODEV",
      detail: 'there is no link "nope"',
    });
    await expect(kernel.links.delete("a name that is far too long")).rejects.toMatchObject({
      code: "ENODEV",
    });
    await expect(kernel.links.set("br0", { mtu: 1 })).rejects.toMatchObject({
      detail: "mtu less than device minimum",
    });
    await expect(kernel.links.set("br0", { mac: "02:0:0:0:0:1" })).rejects.toThrow(SyntaxError);
  });
});

describe("addresses", () => {
  beforeEach(async () => {
    await kernel.links.add({ name: "br0", kind: "bridge", addrGenMode: "none", up: true });
  });

  test("addresses.add() gives IPv4 and IPv6 addresses of any prefix length", async () => {
    for (const [text, prefixLength] of [
      ["10.0.0.1", 24],
      ["10.5.0.1", 32],
      ["fd00::1", 64],
      ["fd01::1", 128],
    ] as const)
      await kernel.addresses.add({
        link: "br0",
        address: parseAddress(text),
        prefixLength,
        duplicateDetection: false,
      });
    await kernel.addresses.add({
      link: "lo",
      address: parseAddress("127.0.0.2"),
      prefixLength: 8,
      broadcast: parseAddress("127.255.255.255"),
    });
    expect(await addressTexts()).toEqual([
      "127.0.0.2/8 lo host",
      "10.0.0.1/24 br0 global",
      "10.5.0.1/32 br0 global",
      "fd01::1/128 br0 global",
      "fd00::1/64 br0 global",
    ]);
    expect(await kernel.addresses.list({ link: "br0", family: 6 })).toMatchObject([
      { duplicateDetection: false, tentative: false, permanent: true },
      {},
    ]);
    expect(await kernel.addresses.list({ link: "lo" })).toMatchObject([
      { broadcast: { value: 0x7fffffffn } },
    ]);
  });

  test("addresses.add() sets a peer and leaves the prefix route out when asked to", async () => {
    const address = parseAddress("10.0.0.1");
    await kernel.addresses.add({ link: "br0", address, prefixLength: 32, peer: parseAddress("10.0.0.2") });
    await kernel.addresses.add({
      link: "br0",
      address: parseAddress("10.9.0.1"),
      prefixLength: 24,
      prefixRoute: false,
    });
    expect(await kernel.addresses.list({ link: "br0" })).toMatchObject([
      { peer: parseAddress("10.0.0.2") },
      { prefixRoute: false },
    ]);
    expect((await kernel.routes.list()).map(formatRoute)).toEqual([
      "10.0.0.2/32 dev br0 proto kernel scope link src 10.0.0.1",
    ]);
  });

  test("addresses.delete() takes exactly the given one", async () => {
    const one = { link: "br0", address: parseAddress("10.0.0.1"), prefixLength: 24 };
    await kernel.addresses.add(one);
    await kernel.addresses.add({ ...one, address: parseAddress("10.1.0.1") });
    await kernel.addresses.delete(one);
    expect(await addressTexts()).toEqual(["10.1.0.1/24 br0 global"]);
    await expect(kernel.addresses.delete(one)).rejects.toMatchObject({
      code: "EADDRNOTAVAIL",
      message: expect.stringMatching(/^Cannot delete address 10\.0\.0\.1\/24 dev br0: /),
    });
    await expect(kernel.addresses.add({ ...one, prefixLength: 33 })).rejects.toMatchObject({
      code: "EINVAL",
    });
    await expect(kernel.addresses.add({ ...one, link: "nope" })).rejects.toMatchObject({ code: "ENODEV" });
  });
});

describe("neighbours", () => {
  test("neighbours are added, replaced, listed and deleted", async () => {
    await kernel.links.add({ name: "br0", kind: "bridge", addrGenMode: "none", up: true });
    const one = { link: "br0", address: parseAddress("10.0.0.9"), mac: "02:00:00:00:00:09" };
    const six = {
      link: "br0",
      address: parseAddress("fd00::9"),
      mac: "02:00:00:00:00:0a",
      state: "reachable",
    } as const;
    await kernel.neighbours.add(one);
    await kernel.neighbours.add(six);
    await expect(kernel.neighbours.add(one)).rejects.toMatchObject({
      code: "EEXIST",
      message: expect.stringMatching(/^Cannot add neighbour 10\.0\.0\.9 dev br0: /),
    });
    await kernel.neighbours.replace({ ...one, mac: "02:00:00:00:00:0b" });
    expect(await kernel.neighbours.list({ link: "br0", family: 4 })).toMatchObject([
      { address: one.address, mac: "02:00:00:00:00:0b", state: "permanent" },
    ]);
    expect(await kernel.neighbours.list({ link: "br0" })).toContainEqual(expect.objectContaining(six));
    await kernel.neighbours.delete(one);
    expect(await kernel.neighbours.list({ link: "br0", family: 4 })).toEqual([]);
    await expect(kernel.neighbours.delete(one)).rejects.toMatchObject({ code: "ENOENT" });
  });
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
    using second = openRtnetlink({ netns: left });
    const [listed] = await Promise.all([
      kernel.routes.list({ protocol: 76 }),
      second.routes.deleteMany(routes),
    ]);
    expect([0, 1000]).toContain(listed.length);
  });
});

describe("watch()", () => {
  test("watch() yields changes of links, addresses, neighbours and routes from when it was called", async () => {
    const events = kernel.watch(["links", "addresses", "neighbours", "routes"]);
    await kernel.links.add({ name: "br0", kind: "bridge", addrGenMode: "none", up: true });
    await kernel.addresses.add({ link: "br0", address: parseAddress("10.0.0.1"), prefixLength: 24 });
    await kernel.neighbours.add({ link: "br0", address: parseAddress("10.0.0.9"), mac: "02:00:00:00:00:09" });
    const destination = parsePrefix("10.1.0.0/16");
    await kernel.routes.add({ destination, link: "br0" });
    await kernel.routes.replace({ destination, gateway: parseAddress("10.0.0.9") });
    await kernel.routes.delete({ destination });
    await kernel.links.delete("br0");
    const seen: string[] = [];
    await firstOf(events, (event) => {
      const text = textOf(event);
      if (text !== undefined) seen.push(text);
      return text === "link deleted br0" ? text : undefined;
    });
    expect(seen.filter((text) => text.startsWith("route"))).toEqual([
      "route set 10.1.0.0/16 dev br0 proto static scope link",
      "route replaced 10.1.0.0/16 via 10.0.0.9 dev br0 proto static",
      "route deleted 10.1.0.0/16 via 10.0.0.9 dev br0 proto static",
    ]);
    // The kernel tells of links and neighbours as often as it likes, and of multicast neighbours besides.
    expect(seen).toEqual(
      expect.arrayContaining([
        "link set br0",
        "address set 10.0.0.1 br0",
        "neighbour set 10.0.0.9 br0",
        "neighbour deleted 10.0.0.9 br0",
        "address deleted 10.0.0.1 br0",
        "link deleted br0",
      ]),
    );
  });

  test("watch() yields only what was asked for, with the names of links", async () => {
    const events = kernel.watch(["routes"]);
    await kernel.links.add({ name: "a", kind: "bridge", addrGenMode: "none", up: true });
    await kernel.links.set("a", { name: "b" });
    await kernel.routes.add({ destination: parsePrefix("10.1.0.0/16"), link: "b" });
    const types = new Set<string>();
    const link = await firstOf(events, (event) => {
      types.add(event.type);
      return event.type === "route" && event.route.table === 254 ? event.route.link : undefined;
    });
    expect(link).toBe("b");
    expect(types).toEqual(new Set(["route"]));
  });

  test("watch() yields an overrun when more happens than its buffer holds, and goes on", async () => {
    await kernel.links.add({ name: "br0", kind: "bridge", addrGenMode: "none", up: true });
    const events = kernel.watch(["routes"], { receiveBufferBytes: 4096 });
    const routes = Array.from({ length: 500 }, (_, index) => ({
      destination: subnet(index),
      link: "br0",
      protocol: 76,
    }));
    await kernel.routes.addMany(routes);
    const mark = parsePrefix("192.0.2.0/24");
    let overruns = 0;
    const after = await firstOf(events, (event) => {
      // Only now that there is room again.
      if (event.type === "overrun" && overruns++ === 0)
        void kernel.routes.add({ destination: mark, link: "br0" });
      return event.type === "route" && event.route.destination.equals(mark) ? event.route : undefined;
    });
    expect(after).toMatchObject({ link: "br0" });
    expect(overruns).toBeGreaterThan(0);
  });

  test("watch() ends when the connection is closed and rejects when its signal aborts", async () => {
    const controller = new AbortController();
    const aborted = kernel.watch(["links"], { signal: controller.signal })[Symbol.asyncIterator]().next();
    const ended = kernel.watch(["links"])[Symbol.asyncIterator]().next();
    controller.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    kernel.close();
    kernel.close();
    expect(await ended).toMatchObject({ done: true });
    await expect(kernel.links.list()).rejects.toThrow("the rtnetlink connection is closed");
  });
});

/** 10.100.0.0/24, 10.100.1.0/24, ... */
function subnet(index: number): Prefix {
  return parsePrefix(`10.${100 + (index >> 8)}.${index & 255}.0/24`);
}

async function addressTexts(): Promise<string[]> {
  return (await kernel.addresses.list()).map(
    ({ address, prefixLength, link, scope }) => `${address.toString()}/${prefixLength} ${link} ${scope}`,
  );
}

/** The first value that `find` gives for an event; closes the watch. */
async function firstOf<T>(
  events: AsyncIterable<RtnetlinkEvent>,
  find: (event: RtnetlinkEvent) => T | undefined,
): Promise<T | undefined> {
  for await (const event of events) {
    const value = find(event);
    if (value !== undefined) return value;
  }
  return undefined;
}

/** One line for an event; nothing for what the kernel does beside (local and multicast routes, other neighbours). */
function textOf(event: RtnetlinkEvent): string | undefined {
  switch (event.type) {
    case "link":
      return `link ${event.change} ${event.link.name}`;
    case "address":
      return `address ${event.change} ${event.address.address.toString()} ${event.address.link}`;
    case "neighbour":
      if (event.neighbour.address.family === 6) return undefined;
      return `neighbour ${event.change} ${event.neighbour.address.toString()} ${event.neighbour.link}`;
    case "route":
      return event.route.protocol === 2 ? undefined : `route ${event.change} ${formatRoute(event.route)}`;
    case "overrun":
      return "overrun";
    default:
      return event satisfies never;
  }
}
