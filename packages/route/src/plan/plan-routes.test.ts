import { Address, parseAddress, parsePrefix, Prefix } from "@loden/ip";
import { formatRoute, type Route } from "@loden/rtnetlink";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { planRoutes, type RoutePlan } from "./plan-routes.ts";
import { routeKey } from "./route-key.ts";
import { sameRoute } from "./same-route.ts";

const OURS = 76;
const options = { protocol: OURS };

describe("planRoutes()", () => {
  test("planRoutes() plans every kind of change when desired and current differ", () => {
    const plan = planRoutes(
      [
        route("10.1.0.0/16", { link: "loden0" }),
        route("10.2.0.0/16", { link: "loden0" }),
        route("10.3.0.0/16", { link: "loden0" }),
        route("10.4.0.0/16", { link: "loden0" }),
      ],
      [
        route("0.0.0.0/0", { link: "eth0", protocol: 4 }),
        route("10.2.0.0/16", { link: "loden0", protocol: OURS, scope: "link", type: "unicast", table: 254 }),
        route("10.3.0.0/16", { link: "loden1", protocol: OURS }),
        route("10.4.0.0/16", { link: "eth0", protocol: 4 }),
        route("10.5.0.0/16", { link: "loden0", protocol: OURS }),
      ],
      options,
    );
    expect(plan.add.map(formatRoute)).toEqual(["10.1.0.0/16 dev loden0 proto 76"]);
    expect(plan.replace.map(({ desired }) => formatRoute(desired))).toEqual([
      "10.3.0.0/16 dev loden0 proto 76",
    ]);
    expect(plan.remove.map(formatRoute)).toEqual(["10.5.0.0/16 dev loden0 proto 76"]);
    expect(plan.conflicts.map(({ desired, foreign }) => [desired, foreign].map(formatRoute))).toEqual([
      ["10.4.0.0/16 dev loden0 proto 76", "10.4.0.0/16 dev eth0 proto static"],
    ]);
  });

  test("planRoutes() never replaces but gives way when a foreign route stands beside ours", () => {
    const desired = [route("10.1.0.0/16", { link: "loden0" })];
    const foreign = route("10.1.0.0/16", { link: "eth0", protocol: 4 });
    const stale = route("10.1.0.0/16", { link: "loden1", protocol: OURS });
    expect(planRoutes(desired, [foreign, stale], options)).toMatchObject({
      add: [],
      replace: [],
      remove: [stale],
      conflicts: [{ foreign }],
    });
    const fitting = route("10.1.0.0/16", { link: "loden0", protocol: OURS });
    expect(planRoutes(desired, [fitting, foreign], options)).toMatchObject({
      add: [],
      replace: [],
      remove: [],
      conflicts: [],
    });
  });

  test("planRoutes() gives a plan that leads to the desired table when the kernel carries it out", () => {
    fc.assert(
      fc.property(desiredRoutes, kernelTable, (desired, table) => {
        const plan = planRoutes(desired, table, options);
        const after = carryOut(plan, table);
        const ours = after.filter((each) => !isForeign(each));
        const possible = desired.filter(
          (wanted) =>
            table.some((each) => !isForeign(each) && sameRoute(wanted, each)) ||
            !table.some((each) => isForeign(each) && routeKey(each) === routeKey(wanted)),
        );

        // Others' routes are as they were, ours are those that can be had, and no more.
        expect(after.filter(isForeign)).toEqual(table.filter(isForeign));
        expect(ours.map(routeKey).toSorted()).toEqual(possible.map(routeKey).toSorted());
        for (const wanted of possible) expect(ours.some((each) => sameRoute(wanted, each))).toBe(true);
        // The rest is said to be in conflict.
        expect(plan.conflicts.map((conflict) => routeKey(conflict.desired)).toSorted()).toEqual(
          desired
            .filter((wanted) => !possible.includes(wanted))
            .map(routeKey)
            .toSorted(),
        );
        // What was right before is not touched, and a second plan has nothing to do.
        const wasRight = desired.filter((wanted) =>
          table.some((each) => !isForeign(each) && sameRoute(wanted, each)),
        );
        const touched = [...plan.add, ...plan.replace.map((each) => each.desired)].map(routeKey);
        expect(touched.filter((key) => wasRight.map(routeKey).includes(key))).toEqual([]);
        const again = planRoutes(desired, after, options);
        expect([again.add, again.replace, again.remove]).toEqual([[], [], []]);
        expect(again.conflicts).toHaveLength(plan.conflicts.length);
      }),
      { numRuns: 500 },
    );
  });
});

describe("sameRoute()", () => {
  const desired = route("10.1.0.0/16", { gateway: parseAddress("10.0.0.7") });
  const current = route("10.1.0.0/16", {
    gateway: parseAddress("10.0.0.7"),
    link: "eth0",
    table: 254,
    protocol: OURS,
    scope: "global",
    type: "unicast",
  });

  test("sameRoute() takes the kernel's defaults for what the desired route leaves open", () => {
    expect(sameRoute(desired, current)).toBe(true);
    expect(sameRoute({ ...desired, link: "eth0", metric: 0, onlink: false, type: "unicast" }, current)).toBe(
      true,
    );
    expect(
      sameRoute(route("fd01::/64", { link: "eth0" }), route("fd01::/64", { link: "eth0", metric: 1024 })),
    ).toBe(true);
    expect(
      sameRoute(
        route("fd01::/64", { type: "blackhole" }),
        route("fd01::/64", { type: "blackhole", link: "lo", metric: 1024 }),
      ),
    ).toBe(true);
  });

  test.each([
    { link: "eth1" },
    { gateway: parseAddress("10.0.0.8") },
    { gateway: undefined },
    { metric: 1 },
    { mtu: 1300 },
    { source: parseAddress("10.0.0.1") },
    { onlink: true },
    { scope: "link" as const },
    { type: "blackhole" as const },
    { destination: parsePrefix("10.1.0.0/17") },
    { nextHops: [{ link: "eth0" }] },
  ])("sameRoute() is false when %o differs", (difference) => {
    expect(sameRoute({ ...desired, ...difference }, current)).toBe(false);
  });
});

function route(destination: string, rest: Omit<Route, "destination"> = {}): Route {
  return { destination: parsePrefix(destination), ...rest };
}

function isForeign({ protocol }: Route): boolean {
  return protocol !== OURS;
}

/** Few destinations, metrics, links and gateways, so that many routes meet. */
const anyRoute = fc.record({
  destination: fc
    .tuple(fc.constantFrom<4 | 6>(4, 6), fc.integer({ min: 1, max: 3 }))
    .map(([family, number]) =>
      family === 4
        ? new Prefix(new Address(4, BigInt(number) << 24n), 8)
        : new Prefix(new Address(6, BigInt(number) << 120n), 8),
    ),
  metric: fc.constantFrom(undefined, 0, 5, 1024),
  link: fc.constantFrom("a", "b"),
  gateway: fc.constantFrom(undefined, parseAddress("192.0.2.1"), parseAddress("fd00::1")),
  onlink: fc.constantFrom(undefined, true),
});

const desiredRoutes: fc.Arbitrary<Route[]> = fc.uniqueArray(anyRoute, { selector: routeKey, maxLength: 8 });

/** A table as the kernel could list it: `ip route append` makes several of one key, but no two the same. */
const kernelTable: fc.Arbitrary<Route[]> = fc.uniqueArray(
  fc.tuple(anyRoute, fc.constantFrom(OURS, 4)).map(([each, protocol]) => listed(each, protocol)),
  { selector: formatRoute, maxLength: 12 },
);

/** The route as the kernel would list it. */
function listed(desired: Route, protocol: number): Route {
  const isIPv6 = desired.destination.family === 6;
  return {
    ...desired,
    protocol,
    metric: desired.metric || (isIPv6 ? 1024 : undefined),
    scope: isIPv6 || desired.gateway ? "global" : "link",
    type: "unicast",
  };
}

/** The kernel as a slow obvious model: a list in which add, replace and delete search from the front. */
function carryOut(plan: RoutePlan, table: readonly Route[]): Route[] {
  const routes = [...table];
  const find = (wanted: Route): number => routes.findIndex((each) => routeKey(each) === routeKey(wanted));
  for (const wanted of plan.add) {
    expect(find(wanted)).toBe(-1);
    routes.push(listed(wanted, wanted.protocol ?? 0));
  }
  for (const { desired } of plan.replace) routes[find(desired)] = listed(desired, desired.protocol ?? 0);
  for (const unwanted of plan.remove) {
    const text = formatRoute(unwanted);
    const index = routes.findIndex((each) => formatRoute(each) === text);
    expect(index).not.toBe(-1);
    routes.splice(index, 1);
  }
  return routes;
}
