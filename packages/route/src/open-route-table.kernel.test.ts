import { parseAddress, parsePrefix } from "@loden/ip";
import { createNetns, type Netns } from "@loden/netns";
import { formatRoute, openRtnetlink, type Route, type Rtnetlink } from "@loden/rtnetlink";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openRouteTable } from "./open-route-table.ts";
import { RouteApplyError, RouteConflictError } from "./route-errors.ts";
import type { RouteEvent } from "./route-events.ts";

// +------- host -------+        +-- other --+
// | wire 10.0.0.1/24   |--veth--| wire      |
// | wire fd00::1/64    |        +-----------+
// | cable (no address) |--veth--cable2 in host, both up
// +--------------------+
let host: Netns;
let other: Netns;
let kernel: Rtnetlink;

beforeEach(async () => {
  host = createNetns();
  other = createNetns();
  kernel = openRtnetlink({ netns: host });
  const quiet = { addrGenMode: "none", up: true } as const;
  await kernel.links.add({
    name: "wire",
    kind: "veth",
    ...quiet,
    peer: { name: "wire", netns: other, ...quiet },
  });
  await kernel.links.add({ name: "cable", kind: "veth", ...quiet, peer: { name: "cable2", ...quiet } });
  await kernel.addresses.add({ link: "wire", address: parseAddress("10.0.0.1"), prefixLength: 24 });
  await kernel.addresses.add({
    link: "wire",
    address: parseAddress("fd00::1"),
    prefixLength: 64,
    duplicateDetection: false,
  });
});

afterEach(() => {
  kernel.close();
  host.close();
  other.close();
});

describe("apply()", () => {
  test("apply() adds, keeps, replaces and removes IPv4 and IPv6 routes when the desired ones change", async () => {
    using table = openRouteTable({ netns: host });
    const first = [
      route("10.1.0.0/16", { gateway: "10.0.0.7" }),
      route("10.2.0.0/16", { link: "wire" }),
      route("0.0.0.0/0", { gateway: "10.0.0.9" }),
      route("fd01::/64", { gateway: "fd00::7" }),
      route("fd02::/64", { link: "wire" }),
      route("fd03::/64", { type: "blackhole" }),
      route("192.0.2.1/32", { gateway: "198.51.100.1", link: "wire", onlink: true }),
    ];
    expect(counts(await table.apply(first))).toEqual([7, 0, 0]);
    expect(counts(await table.apply(first))).toEqual([0, 0, 0]);
    const second = [
      first[0]!,
      route("10.2.0.0/16", { gateway: "10.0.0.8" }),
      route("fd02::/64", { gateway: "fd00::8" }),
      route("fd03::/64", { type: "blackhole" }),
    ];
    expect(counts(await table.apply(second))).toEqual([0, 2, 3]);
    expect(counts(await table.apply(second))).toEqual([0, 0, 0]);
    expect((await table.list()).map(formatRoute)).toEqual([
      "10.1.0.0/16 via 10.0.0.7 dev wire proto 76",
      "10.2.0.0/16 via 10.0.0.8 dev wire proto 76",
      "fd02::/64 via fd00::8 dev wire proto 76 metric 1024",
      "blackhole fd03::/64 dev lo proto 76 metric 1024",
    ]);
    expect(counts(await table.apply([]))).toEqual([0, 0, 4]);
  });

  test("apply() replaces a route when any one of its attributes differs", async () => {
    using table = openRouteTable({ netns: host });
    const base = { gateway: "10.0.0.7", link: "wire" };
    const variants: Route[] = [
      route("10.1.0.0/16", base),
      route("10.1.0.0/16", { ...base, gateway: "10.0.0.8" }),
      route("10.1.0.0/16", { ...base, mtu: 1300 }),
      { ...route("10.1.0.0/16", base), source: parseAddress("10.0.0.1") },
      route("10.1.0.0/16", { ...base, onlink: true }),
      route("10.1.0.0/16", { link: "cable" }),
      route("10.1.0.0/16", { link: "cable", scope: "global" }),
      route("10.1.0.0/16", { type: "unreachable" }),
      {
        destination: parsePrefix("10.1.0.0/16"),
        nextHops: [
          { link: "wire", gateway: parseAddress("10.0.0.7") },
          { link: "cable", weight: 2 },
        ],
      },
    ];
    expect(counts(await table.apply([variants[0]!]))).toEqual([1, 0, 0]);
    for (const variant of variants.slice(1)) {
      expect([formatRoute(variant), ...counts(await table.apply([variant]))]).toEqual([
        formatRoute(variant),
        0,
        1,
        0,
      ]);
      expect(counts(await table.apply([variant]))).toEqual([0, 0, 0]);
    }
  });

  test("apply() leaves routes of others alone and names both when one has a desired route's place", async () => {
    await kernel.routes.add(route("10.1.0.0/16", { gateway: "10.0.0.9", protocol: 4 }));
    await kernel.routes.add(route("10.9.0.0/16", { gateway: "10.0.0.9", protocol: 4 }));
    await kernel.routes.add(route("fd01::/64", { gateway: "fd00::9", protocol: 4 }));
    using table = openRouteTable({ netns: host });
    const desired = [
      route("10.1.0.0/16", { link: "wire" }),
      route("fd01::/64", { link: "wire" }),
      route("10.2.0.0/16", { link: "wire" }),
    ];
    const error = await table.apply(desired).then(String, (reason: unknown) => reason);
    expect(error).toBeInstanceOf(RouteConflictError);
    expect(error).toMatchObject({ code: "ERR_ROUTE_CONFLICT", conflicts: { length: 2 } });
    expect((error as Error).message).toBe(
      "Cannot add route 10.1.0.0/16 dev wire proto 76 (there is 10.1.0.0/16 via 10.0.0.9 dev wire proto static), " +
        "fd01::/64 dev wire proto 76 (there is fd01::/64 via fd00::9 dev wire proto static metric 1024): " +
        "a route of another program has the same destination and metric, expected none",
    );
    expect((await table.list()).map((entry) => entry.destination.toString())).toEqual(["10.2.0.0/16"]);
    await table.clear();
    expect(await foreign()).toEqual(["10.1.0.0/16", "10.9.0.0/16", "fd01::/64"]);
  });

  test("apply() adds beside a foreign route when the metric differs", async () => {
    await kernel.routes.add(route("10.1.0.0/16", { gateway: "10.0.0.9", protocol: 4, metric: 50 }));
    using table = openRouteTable({ netns: host });
    expect(counts(await table.apply([route("10.1.0.0/16", { link: "wire" })]))).toEqual([1, 0, 0]);
    expect(counts(await table.apply([route("10.1.0.0/16", { link: "wire", metric: 60 })]))).toEqual([
      1, 0, 1,
    ]);
    await table.clear();
    expect(await foreign()).toEqual(["10.1.0.0/16"]);
  });

  test("apply() carries the rest out when the kernel refuses some", async () => {
    using table = openRouteTable({ netns: host });
    const good = route("10.1.0.0/16", { link: "wire" });
    const away = route("10.2.0.0/16", { gateway: "203.0.113.1" });
    await expect(table.apply([away, good])).rejects.toMatchObject({
      code: "ENETUNREACH",
      detail: "Nexthop has invalid gateway",
      message: expect.stringContaining("Cannot add route 10.2.0.0/16 via 203.0.113.1 proto 76"),
    });
    expect(await table.list()).toHaveLength(1);
    const error = await table
      .apply([away, good, route("10.3.0.0/16", { link: "nowhere" })])
      .then(String, (reason: unknown) => reason);
    expect(error).toBeInstanceOf(RouteApplyError);
    expect(error).toMatchObject({ code: "ERR_ROUTE_APPLY", errors: { length: 2 } });
  });

  test("apply() changes nothing when a route names another table or protocol, or two share a place", async () => {
    using table = openRouteTable({ netns: host });
    const good = route("10.1.0.0/16", { link: "wire" });
    await expect(table.apply([good, { ...good, table: 5 }])).rejects.toThrow(RangeError);
    await expect(table.apply([good, { ...good, protocol: 4 }])).rejects.toThrow(RangeError);
    await expect(table.apply([good, { ...good, link: "cable" }])).rejects.toThrow(RangeError);
    expect(await table.list()).toEqual([]);
  });

  test("apply() works in a table of its own when one is named", async () => {
    using table = openRouteTable({ netns: host, table: 1000, protocol: 77 });
    expect(counts(await table.apply([route("10.0.0.0/24", { link: "cable" })]))).toEqual([1, 0, 0]);
    expect(await table.list()).toMatchObject([{ table: 1000, protocol: 77, link: "cable" }]);
    expect(await kernel.routes.list({ protocol: 77 })).toEqual([]);
    expect(counts(await table.clear())).toEqual([0, 0, 1]);
  });

  test("apply() moves 1,000 routes when their link changes", async () => {
    using table = openRouteTable({ netns: host, repair: true });
    expect(counts(await table.apply(many("wire")))).toEqual([1000, 0, 0]);
    expect(counts(await table.apply(many("cable")))).toEqual([0, 1000, 0]);
    expect(counts(await table.apply(many("cable").slice(0, 10)))).toEqual([0, 0, 990]);
  });
});

describe("clear()", () => {
  test("apply() and clear() leave routes of our number out of other links alone when a link is named", async () => {
    using first = openRouteTable({ netns: host, link: "wire", repair: true });
    using second = openRouteTable({ netns: host, link: "cable", repair: true });
    await first.apply([route("10.1.0.0/16", { link: "wire" })]);
    await second.apply([route("10.2.0.0/16", { link: "cable" })]);
    expect(await first.list()).toHaveLength(1);
    expect(await second.list()).toHaveLength(1);
    await expect(first.apply([route("10.3.0.0/16", { link: "cable" })])).rejects.toThrow("expected wire");
    await expect(first.apply([route("10.2.0.0/16", { link: "wire" })])).rejects.toThrow(RouteConflictError);
    await first.clear();
    expect((await kernel.routes.list({ protocol: 76 })).map(formatRoute)).toEqual([
      "10.2.0.0/16 dev cable proto 76 scope link",
    ]);
  });

  test("clear() removes what an earlier process left when it knows nothing of it", async () => {
    {
      using earlier = openRouteTable({ netns: host });
      await earlier.apply([route("10.1.0.0/16", { link: "wire" }), route("fd01::/64", { link: "wire" })]);
    }
    using table = openRouteTable({ netns: host });
    expect(await table.list()).toHaveLength(2);
    expect(counts(await table.clear())).toEqual([0, 0, 2]);
    expect(counts(await table.clear())).toEqual([0, 0, 0]);
  });
});

describe("repair", () => {
  test("watch() reports removed and repaired when somebody deletes a route", async () => {
    using table = openRouteTable({ netns: host, repair: true });
    const published: unknown[] = [];
    const listener = (message: unknown): unknown => published.push(message);
    subscribe("loden:route", listener);
    await table.apply([route("10.1.0.0/16", { link: "wire" }), route("fd01::/64", { link: "wire" })]);
    const events = table.watch();
    await kernel.routes.delete(route("10.1.0.0/16"));
    await kernel.routes.delete(route("fd01::/64"));
    expect(await take(events, 4)).toEqual([
      "removed 10.1.0.0/16",
      "removed fd01::/64",
      "repaired 10.1.0.0/16",
      "repaired fd01::/64",
    ]);
    expect(await table.list()).toHaveLength(2);
    unsubscribe("loden:route", listener);
    expect(published).toHaveLength(4);
    expect(published[0]).toMatchObject({ type: "removed", table: 254, protocol: 76 });
  });

  test("watch() reports changed and repaired when somebody replaces a route with our number", async () => {
    using table = openRouteTable({ netns: host, repair: true });
    await table.apply([route("10.1.0.0/16", { link: "wire" })]);
    const events = table.watch();
    await kernel.routes.replace(route("10.1.0.0/16", { link: "cable", protocol: 76 }));
    expect(await take(events, 2)).toEqual(["changed 10.1.0.0/16", "repaired 10.1.0.0/16"]);
    expect(await table.list()).toMatchObject([{ link: "wire" }]);
  });

  test("watch() reports a conflict and repairs only when the foreign route is gone", async () => {
    using table = openRouteTable({ netns: host, repair: true });
    await table.apply([route("10.1.0.0/16", { link: "wire" })]);
    const events = table.watch()[Symbol.asyncIterator]();
    await kernel.routes.replace(route("10.1.0.0/16", { link: "cable", protocol: 4 }));
    expect(await next(events)).toBe("conflict 10.1.0.0/16");
    expect(await foreign()).toEqual(["10.1.0.0/16"]);
    await kernel.routes.delete(route("10.1.0.0/16", { link: "cable" }));
    expect(await next(events)).toBe("repaired 10.1.0.0/16");
    expect(await table.list()).toMatchObject([{ link: "wire" }]);
  });

  test("watch() reports added when somebody adds a route with our number, which is removed", async () => {
    using table = openRouteTable({ netns: host, repair: true });
    await table.apply([route("10.1.0.0/16", { link: "wire" })]);
    const events = table.watch();
    const gone = waitFor(kernel, "deleted", "10.2.0.0/16");
    await kernel.routes.add(route("10.2.0.0/16", { link: "wire", protocol: 76 }));
    expect(await take(events, 1)).toEqual(["added 10.2.0.0/16"]);
    await gone;
    expect(await table.list()).toHaveLength(1);
  });

  test("watch() repairs IPv4 and IPv6 routes when their link comes up again", async () => {
    using table = openRouteTable({ netns: host, repair: true });
    await table.apply([route("10.1.0.0/16", { link: "wire" }), route("fd01::/64", { link: "wire" })]);
    const events = table.watch()[Symbol.asyncIterator]();
    await kernel.links.set("wire", { up: false });
    expect(await next(events, 4)).toEqual([
      "removed 10.1.0.0/16",
      "removed fd01::/64",
      "failed 10.1.0.0/16",
      "failed fd01::/64",
    ]);
    await kernel.links.set("wire", { up: true });
    expect(await next(events, 2)).toEqual(["repaired 10.1.0.0/16", "repaired fd01::/64"]);
    expect(await table.list()).toHaveLength(2);
  });

  test("watch() repairs when the link is deleted and made anew under the same name", async () => {
    using table = openRouteTable({ netns: host, repair: true });
    await table.apply([route("10.1.0.0/16", { link: "cable" })]);
    const events = table.watch()[Symbol.asyncIterator]();
    await kernel.links.delete("cable");
    expect(await next(events, 2)).toEqual(["removed 10.1.0.0/16", "failed 10.1.0.0/16"]);
    await kernel.links.add({ name: "cable", kind: "bridge", up: true });
    expect(await next(events)).toBe("repaired 10.1.0.0/16");
  });

  test("watch() repairs when the link comes up after apply() failed", async () => {
    await kernel.links.set("cable", { up: false });
    using table = openRouteTable({ netns: host, repair: true });
    const events = table.watch()[Symbol.asyncIterator]();
    await expect(table.apply([route("10.1.0.0/16", { link: "cable" })])).rejects.toMatchObject({
      code: "ENETDOWN",
    });
    await kernel.links.set("cable", { up: true });
    expect(await next(events)).toBe("repaired 10.1.0.0/16");
  });

  test("watch() reports but repairs nothing when repair is off", async () => {
    using table = openRouteTable({ netns: host });
    await table.apply([route("10.1.0.0/16", { link: "wire" })]);
    const events = table.watch()[Symbol.asyncIterator]();
    await kernel.routes.delete(route("10.1.0.0/16"));
    expect(await next(events)).toBe("removed 10.1.0.0/16");
    expect(await table.list()).toEqual([]);
    await kernel.routes.add(route("10.1.0.0/16", { link: "wire", protocol: 76 }));
    expect(await next(events)).toBe("repaired 10.1.0.0/16");
  });

  test("watch() ends when the table is closed and rejects when its signal aborts", async () => {
    const table = openRouteTable({ netns: host, repair: true });
    const controller = new AbortController();
    const aborted = take(table.watch({ signal: controller.signal }), 1);
    const ended = take(table.watch(), 1);
    controller.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    table.close();
    table.close();
    expect(await ended).toEqual([]);
    await expect(table.list()).rejects.toThrow("closed");
  });
});

function many(link: string): Route[] {
  return Array.from({ length: 1000 }, (_, index) =>
    route(`10.${100 + (index >> 8)}.${index & 255}.0/24`, { link }),
  );
}

type RouteText = Omit<Route, "destination" | "gateway"> & { gateway?: string };

function route(destination: string, rest: RouteText = {}): Route {
  const { gateway, ...attributes } = rest;
  return {
    destination: parsePrefix(destination),
    ...attributes,
    ...(gateway && { gateway: parseAddress(gateway) }),
  };
}

function counts(changes: {
  added: readonly Route[];
  replaced: readonly Route[];
  removed: readonly Route[];
}): number[] {
  return [changes.added.length, changes.replaced.length, changes.removed.length];
}

/** Destinations of routes that are neither ours nor the kernel's. */
async function foreign(): Promise<string[]> {
  return (await kernel.routes.list({ protocol: 4 })).map((entry) => entry.destination.toString());
}

async function take(events: AsyncIterable<RouteEvent>, count: number): Promise<string[]> {
  const texts: string[] = [];
  for await (const event of events) if (texts.push(textOf(event)) === count) break;
  return texts;
}

async function next(events: AsyncIterator<RouteEvent>): Promise<string>;
async function next(events: AsyncIterator<RouteEvent>, count: number): Promise<string[]>;
async function next(events: AsyncIterator<RouteEvent>, count?: number): Promise<string | string[]> {
  const texts: string[] = [];
  while (texts.length < (count ?? 1)) {
    const { value, done } = await events.next();
    if (done) break;
    texts.push(textOf(value));
  }
  return count === undefined ? texts[0]! : texts;
}

function textOf(event: RouteEvent): string {
  return event.type === "overrun" ? "overrun" : `${event.type} ${event.route.destination.toString()}`;
}

async function waitFor(rtnetlink: Rtnetlink, change: string, destination: string): Promise<void> {
  for await (const event of rtnetlink.watch(["routes"]))
    if (
      event.type === "route" &&
      event.change === change &&
      event.route.destination.toString() === destination
    )
      return;
}
