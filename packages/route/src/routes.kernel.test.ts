import { parseAddress, parsePrefix } from "@loden/ip";
import { createNetns, type Netns } from "@loden/netns";
import { formatRoute, openRtnetlink, type Route, type Rtnetlink } from "@loden/rtnetlink";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { KernelState, StateChanges } from "./kernel-state.ts";
import { openKernelState } from "./open-kernel-state.ts";
import { StateApplyError, StateConflictError } from "./state-errors.ts";
import type { StateEvent } from "./guard/state-events.ts";

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
  const far = { name: "wire", netns: other, ...quiet };
  await kernel.links.add({ name: "wire", kind: "veth", ...quiet, peer: far });
  await kernel.links.add({ name: "cable", kind: "veth", ...quiet, peer: { name: "cable2", ...quiet } });
  await kernel.addresses.add({ link: "wire", address: parseAddress("10.0.0.1"), prefixLength: 24 });
  const ipv6 = { address: parseAddress("fd00::1"), prefixLength: 64, duplicateDetection: false };
  await kernel.addresses.add({ link: "wire", ...ipv6 });
});

afterEach(() => {
  kernel.close();
  host.close();
  other.close();
});

describe("apply()", () => {
  test("apply() adds, keeps, replaces and removes IPv4 and IPv6 routes when the desired ones change", async () => {
    using state = openKernelState({ netns: host });
    const first = [
      route("10.1.0.0/16", { gateway: "10.0.0.7" }),
      route("10.2.0.0/16", { link: "wire" }),
      route("0.0.0.0/0", { gateway: "10.0.0.9" }),
      route("fd01::/64", { gateway: "fd00::7" }),
      route("fd02::/64", { link: "wire" }),
      route("fd03::/64", { type: "blackhole" }),
      route("192.0.2.1/32", { gateway: "198.51.100.1", link: "wire", onlink: true }),
    ];
    expect(counts(await state.apply({ routes: first }))).toEqual([7, 0, 0]);
    expect(counts(await state.apply({ routes: first }))).toEqual([0, 0, 0]);
    const second = [
      first[0]!,
      route("10.2.0.0/16", { gateway: "10.0.0.8" }),
      route("fd02::/64", { gateway: "fd00::8" }),
      route("fd03::/64", { type: "blackhole" }),
    ];
    expect(counts(await state.apply({ routes: second }))).toEqual([0, 2, 3]);
    expect(counts(await state.apply({ routes: second }))).toEqual([0, 0, 0]);
    expect((await listed(state)).map(formatRoute)).toEqual([
      "10.1.0.0/16 via 10.0.0.7 dev wire proto 76",
      "10.2.0.0/16 via 10.0.0.8 dev wire proto 76",
      "fd02::/64 via fd00::8 dev wire proto 76 metric 1024",
      "blackhole fd03::/64 dev lo proto 76 metric 1024",
    ]);
    expect(counts(await state.apply({ routes: [] }))).toEqual([0, 0, 4]);
  });

  test("apply() replaces a route when any one of its attributes differs", async () => {
    using state = openKernelState({ netns: host });
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
    expect(counts(await state.apply({ routes: [variants[0]!] }))).toEqual([1, 0, 0]);
    for (const variant of variants.slice(1)) {
      expect([formatRoute(variant), ...counts(await state.apply({ routes: [variant] }))]).toEqual([
        formatRoute(variant),
        0,
        1,
        0,
      ]);
      expect(counts(await state.apply({ routes: [variant] }))).toEqual([0, 0, 0]);
    }
  });

  test("apply() leaves routes of others alone and names both when one has a desired route's place", async () => {
    await kernel.routes.add(route("10.1.0.0/16", { gateway: "10.0.0.9", protocol: 4 }));
    await kernel.routes.add(route("10.9.0.0/16", { gateway: "10.0.0.9", protocol: 4 }));
    await kernel.routes.add(route("fd01::/64", { gateway: "fd00::9", protocol: 4 }));
    using state = openKernelState({ netns: host });
    const desired = [
      route("10.1.0.0/16", { link: "wire" }),
      route("fd01::/64", { link: "wire" }),
      route("10.2.0.0/16", { link: "wire" }),
    ];
    const error = await state.apply({ routes: desired }).then(String, (reason: unknown) => reason);
    expect(error).toBeInstanceOf(StateApplyError);
    const { code, errors } = error as StateApplyError;
    expect(code).toBe("ERR_STATE_APPLY");
    expect(errors[0]).toBeInstanceOf(StateConflictError);
    expect(errors.map((each: Error) => each.message)).toEqual([
      "Cannot add route 10.1.0.0/16 dev wire proto 76: there is route 10.1.0.0/16 via 10.0.0.9 dev wire proto static " +
        "in its place and it belongs to another program, expected none",
      "Cannot add route fd01::/64 dev wire proto 76: there is route fd01::/64 via fd00::9 dev wire proto static metric 1024 " +
        "in its place and it belongs to another program, expected none",
    ]);
    expect((await listed(state)).map((entry) => entry.destination.toString())).toEqual(["10.2.0.0/16"]);
    await state.clear();
    expect(await foreign()).toEqual(["10.1.0.0/16", "10.9.0.0/16", "fd01::/64"]);
  });

  test("apply() adds beside a foreign route when the metric differs", async () => {
    await kernel.routes.add(route("10.1.0.0/16", { gateway: "10.0.0.9", protocol: 4, metric: 50 }));
    using state = openKernelState({ netns: host });
    expect(counts(await state.apply({ routes: [route("10.1.0.0/16", { link: "wire" })] }))).toEqual([
      1, 0, 0,
    ]);
    expect(
      counts(await state.apply({ routes: [route("10.1.0.0/16", { link: "wire", metric: 60 })] })),
    ).toEqual([1, 0, 1]);
    await state.clear();
    expect(await foreign()).toEqual(["10.1.0.0/16"]);
  });

  test("apply() carries the rest out when the kernel refuses some", async () => {
    using state = openKernelState({ netns: host });
    const good = route("10.1.0.0/16", { link: "wire" });
    const away = route("10.2.0.0/16", { gateway: "203.0.113.1" });
    await expect(state.apply({ routes: [away, good] })).rejects.toMatchObject({
      code: "ERR_STATE_APPLY",
      failures: [
        { object: { type: "route" }, error: { code: "ENETUNREACH", detail: "Nexthop has invalid gateway" } },
      ],
      message: expect.stringContaining("Cannot add route 10.2.0.0/16 via 203.0.113.1 proto 76"),
    });
    expect(await listed(state)).toHaveLength(1);
    const error = await state
      .apply({ routes: [away, good, route("10.3.0.0/16", { link: "nowhere" })] })
      .then(String, (reason: unknown) => reason);
    expect(error).toBeInstanceOf(StateApplyError);
    expect(error).toMatchObject({ code: "ERR_STATE_APPLY", errors: { length: 2 } });
  });

  test("apply() changes nothing when a route is not one of ours", async () => {
    using state = openKernelState({ netns: host });
    const good = route("10.1.0.0/16", { link: "wire" });
    await expect(state.apply({ routes: [good, { ...good, table: 5 }] })).rejects.toThrow(RangeError);
    await expect(state.apply({ routes: [good, { ...good, protocol: 4 }] })).rejects.toThrow(RangeError);
    expect(await listed(state)).toEqual([]);
  });

  test("apply() takes the first of two routes to one place and refuses the second", async () => {
    using state = openKernelState({ netns: host });
    const good = route("10.1.0.0/16", { link: "wire" });
    await expect(state.apply({ routes: [good, good, { ...good, link: "cable" }] })).rejects.toMatchObject({
      failures: [{ error: { code: "ERR_STATE_CONFLICT", conflict: { duplicate: true } } }],
    });
    expect(await listed(state)).toMatchObject([{ link: "wire" }]);
  });

  test("apply() works in a table of its own when one is named", async () => {
    using state = openKernelState({ netns: host, table: 1000, protocol: 77 });
    expect(counts(await state.apply({ routes: [route("10.0.0.0/24", { link: "cable" })] }))).toEqual([
      1, 0, 0,
    ]);
    expect(await listed(state)).toMatchObject([{ table: 1000, protocol: 77, link: "cable" }]);
    expect(await kernel.routes.list({ protocol: 77 })).toEqual([]);
    expect(counts(await state.clear())).toEqual([0, 0, 1]);
  });
});

describe("clear()", () => {
  test("apply() and clear() leave routes of our number out of other links alone when a link is named", async () => {
    using first = openKernelState({
      netns: host,
      ownsRoute: ({ link }) => link === "wire",
      repair: true,
    });
    using second = openKernelState({
      netns: host,
      ownsRoute: ({ link }) => link === "cable",
      repair: true,
    });
    await first.apply({ routes: [route("10.1.0.0/16", { link: "wire" })] });
    await second.apply({ routes: [route("10.2.0.0/16", { link: "cable" })] });
    expect(await listed(first)).toHaveLength(1);
    expect(await listed(second)).toHaveLength(1);
    await expect(first.apply({ routes: [route("10.3.0.0/16", { link: "cable" })] })).rejects.toThrow(
      RangeError,
    );
    await expect(first.apply({ routes: [route("10.2.0.0/16", { link: "wire" })] })).rejects.toMatchObject({
      failures: [{ error: { code: "ERR_STATE_CONFLICT" } }],
    });
    await first.clear();
    expect((await kernel.routes.list({ protocol: 76 })).map(formatRoute)).toEqual([
      "10.2.0.0/16 dev cable proto 76 scope link",
    ]);
  });

  test("clear() removes what an earlier process left when it knows nothing of it", async () => {
    {
      using earlier = openKernelState({ netns: host });
      await earlier.apply({
        routes: [route("10.1.0.0/16", { link: "wire" }), route("fd01::/64", { link: "wire" })],
      });
    }
    using state = openKernelState({ netns: host });
    expect(await listed(state)).toHaveLength(2);
    expect(counts(await state.clear())).toEqual([0, 0, 2]);
    expect(counts(await state.clear())).toEqual([0, 0, 0]);
  });
});

describe("repair", () => {
  test("watch() reports removed and repaired when somebody deletes a route", async () => {
    using state = openKernelState({ netns: host, repair: true });
    const published: unknown[] = [];
    const listener = (message: unknown): unknown => published.push(message);
    subscribe("loden:route", listener);
    await state.apply({
      routes: [route("10.1.0.0/16", { link: "wire" }), route("fd01::/64", { link: "wire" })],
    });
    const events = state.watch();
    await kernel.routes.delete(route("10.1.0.0/16"));
    await kernel.routes.delete(route("fd01::/64"));
    expect(await take(events, 4)).toEqual([
      "removed 10.1.0.0/16",
      "removed fd01::/64",
      "repaired 10.1.0.0/16",
      "repaired fd01::/64",
    ]);
    expect(await listed(state)).toHaveLength(2);
    unsubscribe("loden:route", listener);
    expect(published).toHaveLength(4);
    expect(published[0]).toMatchObject({ type: "removed", table: 254, protocol: 76 });
  });

  test("watch() reports changed and repaired when somebody replaces a route with our number", async () => {
    using state = openKernelState({ netns: host, repair: true });
    await state.apply({ routes: [route("10.1.0.0/16", { link: "wire" })] });
    const events = state.watch();
    await kernel.routes.replace(route("10.1.0.0/16", { link: "cable", protocol: 76 }));
    expect(await take(events, 2)).toEqual(["changed 10.1.0.0/16", "repaired 10.1.0.0/16"]);
    expect(await listed(state)).toMatchObject([{ link: "wire" }]);
  });

  test("watch() reports a conflict and repairs only when the foreign route is gone", async () => {
    using state = openKernelState({ netns: host, repair: true });
    await state.apply({ routes: [route("10.1.0.0/16", { link: "wire" })] });
    const events = state.watch()[Symbol.asyncIterator]();
    await kernel.routes.replace(route("10.1.0.0/16", { link: "cable", protocol: 4 }));
    expect(await next(events)).toBe("conflict 10.1.0.0/16");
    expect(await foreign()).toEqual(["10.1.0.0/16"]);
    await kernel.routes.delete(route("10.1.0.0/16", { link: "cable" }));
    expect(await next(events)).toBe("repaired 10.1.0.0/16");
    expect(await listed(state)).toMatchObject([{ link: "wire" }]);
  });

  test("watch() reports added when somebody adds a route with our number, which is removed", async () => {
    using state = openKernelState({ netns: host, repair: true });
    await state.apply({ routes: [route("10.1.0.0/16", { link: "wire" })] });
    const events = state.watch();
    const gone = waitFor(kernel, "deleted", "10.2.0.0/16");
    await kernel.routes.add(route("10.2.0.0/16", { link: "wire", protocol: 76 }));
    expect(await take(events, 1)).toEqual(["added 10.2.0.0/16"]);
    await gone;
    expect(await listed(state)).toHaveLength(1);
  });

  test("watch() repairs IPv4 and IPv6 routes when their link comes up again", async () => {
    using state = openKernelState({ netns: host, repair: true });
    await state.apply({
      routes: [route("10.1.0.0/16", { link: "wire" }), route("fd01::/64", { link: "wire" })],
    });
    const events = state.watch()[Symbol.asyncIterator]();
    await kernel.links.set("wire", { up: false });
    expect(await next(events, 4)).toEqual([
      "removed 10.1.0.0/16",
      "removed fd01::/64",
      "failed 10.1.0.0/16",
      "failed fd01::/64",
    ]);
    await kernel.links.set("wire", { up: true });
    expect(await next(events, 2)).toEqual(["repaired 10.1.0.0/16", "repaired fd01::/64"]);
    expect(await listed(state)).toHaveLength(2);
  });

  test("watch() repairs when the link comes up after apply() failed", async () => {
    await kernel.links.set("cable", { up: false });
    using state = openKernelState({ netns: host, repair: true });
    const events = state.watch()[Symbol.asyncIterator]();
    await expect(state.apply({ routes: [route("10.1.0.0/16", { link: "cable" })] })).rejects.toMatchObject({
      failures: [{ error: { code: "ENETDOWN" } }],
    });
    await kernel.links.set("cable", { up: true });
    expect(await next(events)).toBe("repaired 10.1.0.0/16");
  });

  test("watch() reports but repairs nothing when repair is off", async () => {
    using state = openKernelState({ netns: host });
    await state.apply({ routes: [route("10.1.0.0/16", { link: "wire" })] });
    const events = state.watch()[Symbol.asyncIterator]();
    await kernel.routes.delete(route("10.1.0.0/16"));
    expect(await next(events)).toBe("removed 10.1.0.0/16");
    expect(await listed(state)).toEqual([]);
    await kernel.routes.add(route("10.1.0.0/16", { link: "wire", protocol: 76 }));
    expect(await next(events)).toBe("repaired 10.1.0.0/16");
  });

  test("watch() ends when the state is closed and rejects when its signal aborts", async () => {
    const state = openKernelState({ netns: host, repair: true });
    const controller = new AbortController();
    const aborted = take(state.watch({ signal: controller.signal }), 1);
    const ended = take(state.watch(), 1);
    controller.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    state.close();
    state.close();
    expect(await ended).toEqual([]);
    await expect(listed(state)).rejects.toThrow("closed");
  });
});

type RouteText = Omit<Route, "destination" | "gateway"> & { gateway?: string };

function route(destination: string, rest: RouteText = {}): Route {
  const { gateway, ...attributes } = rest;
  return {
    destination: parsePrefix(destination),
    ...attributes,
    ...(gateway && { gateway: parseAddress(gateway) }),
  };
}

function counts({ added, replaced, removed }: StateChanges): number[] {
  return [added.length, replaced.length, removed.length];
}

/** The routes of ours, as the kernel lists them. */
async function listed(state: KernelState): Promise<Route[]> {
  return (await state.list()).flatMap((object) => (object.type === "route" ? [object.route] : []));
}

/** Destinations of routes that are neither ours nor the kernel's. */
async function foreign(): Promise<string[]> {
  return (await kernel.routes.list({ protocol: 4 })).map((entry) => entry.destination.toString());
}

async function take(events: AsyncIterable<StateEvent>, count: number): Promise<string[]> {
  const texts: string[] = [];
  for await (const event of events) if (texts.push(textOf(event)) === count) break;
  return texts;
}

async function next(events: AsyncIterator<StateEvent>): Promise<string>;
async function next(events: AsyncIterator<StateEvent>, count: number): Promise<string[]>;
async function next(events: AsyncIterator<StateEvent>, count?: number): Promise<string | string[]> {
  const texts: string[] = [];
  while (texts.length < (count ?? 1)) {
    const { value, done } = await events.next();
    if (done) break;
    texts.push(textOf(value));
  }
  return count === undefined ? texts[0]! : texts;
}

function textOf(event: StateEvent): string {
  if (event.type === "overrun") return "overrun";
  return `${event.type} ${event.object.type === "route" ? event.object.route.destination.toString() : event.object.type}`;
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
