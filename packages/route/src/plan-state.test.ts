import { parseAddress, parsePrefix } from "@loden/ip";
import type { FdbEntry, Link, LinkAddress, ListedRoute, Neighbour } from "@loden/rtnetlink";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type DesiredState, type StateObject, stateObjects } from "./desired-state.ts";
import { formatStatePlan } from "./format-state-plan.ts";
import type { KernelSnapshot } from "./kernel-snapshot.ts";
import { linkDifference } from "./link-difference.ts";
import { planState } from "./plan-state.ts";
import { sameObject } from "./same-object.ts";
import { linksOf, ownLinkOf, stateKey } from "./state-key.ts";
import type { StateChange, StatePlan } from "./state-plan.ts";
import type { StateScope } from "./state-scope.ts";

const OURS = 76;
const scope: StateScope = { links: ["a", "b"], table: 254, protocol: OURS };

describe("planState()", () => {
  test("planState() leads to the desired state and leaves the rest alone when the kernel carries it out", () => {
    fc.assert(
      fc.property(desiredState, kernelState, (desired, before) => {
        const kernel = new ModelKernel(before);
        // As openKernelState() does: what is done to links changes what is on them.
        const first = planState(desired, kernel.snapshot, scope);
        kernel.carryOut(first.links);
        kernel.carryOut(planState(desired, kernel.snapshot, scope).changes);
        const after = kernel.snapshot;

        const links = new Set(after.links.map(({ name }) => name));
        const wanted = distinct(desired);
        const possible = wanted.filter(
          (object) =>
            linksOf(object).every((name) => links.has(name)) &&
            !objectsOf(after).some((other) => isForeign(other) && stateKey(other) === stateKey(object)),
        );
        const ours = objectsOf(after).filter((object) => !isForeign(object) && !isLearnt(object));
        expect(ours.map(stateKey).toSorted()).toEqual(possible.map(stateKey).toSorted());
        for (const object of possible) expect(ours.some((other) => isSame(object, other))).toBe(true);
        // A link that is removed takes along what others put on it.
        const stays = (object: StateObject): boolean =>
          isForeign(object) && !linksOf(object).some((name) => removedLinks(first).has(name));
        expect(objectsOf(after).filter(isForeign)).toEqual(objectsOf(before).filter(stays));

        const again = planState(desired, after, scope);
        expect([...again.links, ...again.changes]).toEqual([]);
        const told = [...again.conflicts, ...again.blocked].map(({ object }) => stateKey(object));
        for (const object of wanted)
          expect(told.includes(stateKey(object)) || possible.includes(object)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  test("planState() touches nothing that is as desired", () => {
    fc.assert(
      fc.property(desiredState, kernelState, (desired, before) => {
        const plan = planState(desired, before, scope);
        const gone = removedLinks(plan);
        for (const { verb, object } of plan.changes) {
          if (linksOf(object).some((name) => gone.has(name))) continue;
          const there = objectsOf(before).filter((other) => stateKey(other) === stateKey(object));
          const wanted = distinct(desired).find((other) => stateKey(other) === stateKey(object));
          if (verb === "remove") expect(wanted && there.length < 2 && isSame(wanted, object)).toBeFalsy();
          else expect(there.some((other) => isSame(object, other))).toBe(false);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("formatStatePlan()", () => {
  test("formatStatePlan() writes the commands in the order in which they are carried out", () => {
    const plan = planState(
      {
        links: [
          {
            name: "a",
            kind: "vxlan",
            lower: "eth0",
            mtu: 1450,
            mac: "02:00:00:00:00:aa",
            vxlan: { id: 1, local: parseAddress("192.0.2.1"), port: 8472, learning: false },
          },
        ],
        addresses: [{ link: "a", address: parseAddress("10.5.34.0"), prefixLength: 32 }],
        neighbours: [{ link: "a", address: parseAddress("10.5.1.0"), mac: "02:00:00:00:00:01" }],
        fdb: [{ link: "a", mac: "02:00:00:00:00:01", destination: parseAddress("192.0.2.11") }],
        routes: [
          {
            destination: parsePrefix("10.5.1.0/24"),
            gateway: parseAddress("10.5.1.0"),
            link: "a",
            onlink: true,
          },
          { destination: parsePrefix("10.5.2.0/24"), gateway: parseAddress("192.0.2.12"), link: "gone" },
          { destination: parsePrefix("10.5.3.0/24"), link: "a" },
        ],
      },
      {
        links: [link("eth0"), link("a", { mtu: 1400, kind: "vxlan", vxlan: { id: 2 } }), link("b")],
        addresses: [],
        neighbours: [],
        fdb: [],
        routes: [
          route("10.5.9.0/24", { link: "eth0", protocol: OURS }),
          route("10.5.3.0/24", { link: "eth0", protocol: 4 }),
        ],
      },
      scope,
    );
    expect(formatStatePlan(plan).split("\n")).toEqual([
      "ip link delete dev a",
      "ip link delete dev b",
      "ip link add a up mtu 1450 address 02:00:00:00:00:aa type vxlan id 1 dev eth0 local 192.0.2.1 dstport 8472 nolearning",
      "ip address add 10.5.34.0/32 dev a",
      "ip neighbour add 10.5.1.0 lladdr 02:00:00:00:00:01 dev a nud permanent",
      "bridge fdb add 02:00:00:00:00:01 dev a dst 192.0.2.11 self permanent",
      "ip route add 10.5.1.0/24 via 10.5.1.0 dev a proto 76 onlink",
      "ip route delete 10.5.9.0/24 dev eth0 proto 76 scope link",
      "# conflict: route 10.5.3.0/24 dev a proto 76, which is taken by route 10.5.3.0/24 dev eth0 proto static scope link",
      "# waiting for link gone: route 10.5.2.0/24 via 192.0.2.12 dev gone",
      "",
    ]);
  });

  test("formatStatePlan() writes what is changed in place", () => {
    const plan = planState(
      {
        links: [{ name: "a", kind: "bridge", mtu: 1400, mac: "02:00:00:00:00:01" }],
        addresses: [],
        neighbours: [{ link: "a", address: parseAddress("10.5.1.0"), mac: "02:00:00:00:00:01" }],
      },
      {
        links: [link("a", { kind: "bridge", up: false, mac: "02:00:00:00:00:02" })],
        addresses: [address("a", "10.5.34.0")],
        neighbours: [neighbour("a", "10.5.1.0", "02:00:00:00:00:02", "permanent")],
        routes: [],
      },
      scope,
    );
    expect(formatStatePlan(plan).split("\n")).toEqual([
      "ip link set dev a up mtu 1400 address 02:00:00:00:00:01",
      "ip neighbour replace 10.5.1.0 lladdr 02:00:00:00:00:01 dev a nud permanent",
      "ip address delete 10.5.34.0/32 dev a",
      "",
    ]);
  });
});

describe("linkDifference()", () => {
  const current = link("a", {
    kind: "vxlan",
    lower: "eth0",
    mac: "02:00:00:00:00:01",
    vxlan: { id: 1, local: parseAddress("192.0.2.1"), port: 8472, learning: false },
  });

  test.each([
    [{}, "same"],
    [{ lower: "eth0", vxlan: { id: 1, port: 8472, learning: false, gbp: false } }, "same"],
    [{ vxlan: { local: parseAddress("192.0.2.1") } }, "same"],
    [{ mac: "02:00:00:00:00:01".toUpperCase() }, "same"],
    [{ kind: undefined, vxlan: { id: 2 } }, "same"],
    [{ vxlan: { id: 2 } }, "recreate"],
    [{ vxlan: { local: parseAddress("192.0.2.2") } }, "recreate"],
    [{ vxlan: { port: 4789 } }, "recreate"],
    [{ vxlan: { learning: true } }, "recreate"],
    [{ vxlan: { gbp: true } }, "recreate"],
    [{ lower: "eth1" }, "recreate"],
    [{ kind: "bridge" }, "recreate"],
    [{ mtu: 1450 }, { mtu: 1450 }],
    [
      { mac: "02:00:00:00:00:02", up: false },
      { mac: "02:00:00:00:00:02", up: false },
    ],
    [{ master: "br0" }, { master: "br0" }],
    [{ addrGenMode: "none" as const }, "same"],
  ])("linkDifference() of %o is %o", (difference, expected) => {
    expect(linkDifference({ name: "a", kind: "vxlan", ...difference }, current)).toEqual(expected);
  });

  test("linkDifference() sets the address generation mode where the link has one", () => {
    expect(linkDifference({ name: "a", addrGenMode: "none" }, { ...current, addrGenMode: "eui64" })).toEqual({
      addrGenMode: "none",
    });
  });
});

/** The kernel as a slow obvious model: a list of objects. */
class ModelKernel {
  snapshot: Required<KernelSnapshot>;

  constructor(start: Required<KernelSnapshot>) {
    this.snapshot = start;
  }

  carryOut(changes: readonly StateChange[]): void {
    for (const change of changes) this.#carryOut(change);
  }

  #carryOut({ verb, object, current, settings }: StateChange): void {
    let objects = objectsOf(this.snapshot);
    const index = objects.findIndex(
      (other) =>
        stateKey(other) === stateKey(object) &&
        (verb === "add" || other.type === "link" || sameListed(other, current ?? object)),
    );
    if (verb === "add") {
      expect(objects.some((other) => stateKey(other) === stateKey(object))).toBe(false);
      for (const name of linksOf(object)) if (object.type !== "link") this.#find(name);
      objects.push(listed(object));
    } else if (verb === "remove") {
      expect(index).not.toBe(-1);
      objects.splice(index, 1);
      // With a link goes all that is on it.
      if (object.type === "link")
        objects = objects.filter(
          (other) => other.type === "link" || !linksOf(other).includes(object.link.name),
        );
    } else if (object.type === "link") {
      objects[index] = { type: "link", link: { ...this.#find(object.link.name), ...settings } as Link };
    } else {
      // The kernel replaces the first of the place.
      expect(objects.findIndex((other) => stateKey(other) === stateKey(object))).toBe(index);
      objects[index] = listed(object);
    }
    this.snapshot = snapshotOf(objects);
  }

  #find(name: string): Link {
    const found = this.snapshot.links.find((each) => each.name === name);
    expect(found, name).toBeDefined();
    return found!;
  }
}

function objectsOf(snapshot: KernelSnapshot): StateObject[] {
  return [...stateObjects(snapshot)];
}

function snapshotOf(objects: readonly StateObject[]): Required<KernelSnapshot> {
  return {
    links: objects.flatMap((object) => (object.type === "link" ? [object.link as Link] : [])),
    addresses: objects.flatMap((each) => (each.type === "address" ? [each.address as LinkAddress] : [])),
    neighbours: objects.flatMap((each) => (each.type === "neighbour" ? [each.neighbour as Neighbour] : [])),
    fdb: objects.flatMap((each) => (each.type === "fdb" ? [each.entry as FdbEntry] : [])),
    routes: objects.flatMap((each) => (each.type === "route" ? [each.route as ListedRoute] : [])),
  };
}

function isSame(desired: StateObject, current: StateObject): boolean {
  if (desired.type !== "link" || current.type !== "link") return sameObject(desired, current);
  return linkDifference(desired.link, current.link as Link) === "same";
}

function sameListed(left: StateObject, right: StateObject): boolean {
  return isSame(left, right) && isForeign(left) === isForeign(right);
}

function removedLinks({ links }: StatePlan): ReadonlySet<string> {
  return new Set(
    links.flatMap(({ verb, object }) =>
      verb === "remove" && object.type === "link" ? [object.link.name] : [],
    ),
  );
}

/** Not ours: on links of others, and routes of others' numbers. */
function isForeign(object: StateObject): boolean {
  if (object.type === "route") return object.route.protocol !== undefined && object.route.protocol !== OURS;
  return !scope.links.includes(ownLinkOf(object) ?? "");
}

function isLearnt(object: StateObject): boolean {
  if (object.type === "address") return object.address.address.isLinkLocal;
  if (object.type === "neighbour") return object.neighbour.state === "stale";
  return object.type === "fdb" && object.entry.state === "dynamic";
}

/** The first of each place. */
function distinct(desired: DesiredState): StateObject[] {
  const places = new Map<string, StateObject>();
  for (const object of stateObjects(desired))
    if (!places.has(stateKey(object))) places.set(stateKey(object), object);
  return [...places.values()];
}

/** The object as the kernel would list it. */
function listed(object: StateObject): StateObject {
  switch (object.type) {
    case "link":
      return { type: "link", link: link(object.link.name, { up: true, ...object.link } as Partial<Link>) };
    case "address":
      return {
        type: "address",
        address: address(object.address.link, object.address.address.toString(), object.address.prefixLength),
      };
    case "neighbour": {
      const { link: on, address: ip, mac = "" } = object.neighbour;
      return { type: "neighbour", neighbour: neighbour(on, ip.toString(), mac, "permanent") };
    }
    case "fdb": {
      const { link: on, mac, destination } = object.entry;
      return { type: "fdb", entry: fdbEntry(on, mac, destination?.toString() ?? "", "permanent") };
    }
    case "route":
      return {
        type: "route",
        route: route(object.route.destination.toString(), {
          ...(object.route as Partial<ListedRoute>),
          protocol: OURS,
        }),
      };
  }
}

function link(name: string, rest: Partial<Link> = {}): Link {
  return {
    name,
    index: 1,
    kind: "bridge",
    mtu: 1500,
    up: true,
    running: true,
    mac: undefined,
    master: undefined,
    lower: undefined,
    peerIndex: undefined,
    addrGenMode: undefined,
    ...rest,
  };
}

function address(on: string, text: string, prefixLength = 32): LinkAddress {
  return {
    link: on,
    linkIndex: 1,
    address: parseAddress(text),
    prefixLength,
    scope: "global",
    ...{ tentative: false, permanent: true, deprecated: false, secondary: false },
  };
}

function neighbour(on: string, text: string, mac: string, state: "permanent" | "stale"): Neighbour {
  return { link: on, linkIndex: 1, address: parseAddress(text), mac, state };
}

function fdbEntry(on: string, mac: string, to: string, state: "permanent" | "dynamic"): FdbEntry {
  return { link: on, linkIndex: 1, mac, destination: parseAddress(to), state, table: "self" };
}

function route(destination: string, rest: Partial<ListedRoute>): ListedRoute {
  const { gateway } = rest;
  return {
    destination: parsePrefix(destination),
    table: 254,
    protocol: 4,
    scope: gateway ? "global" : "link",
    type: "unicast",
    ...rest,
  };
}

// Few names, addresses and settings, so that many meet.
const own = fc.constantFrom("a", "b");
const anyLink = fc.constantFrom("a", "b", "eth0", "gone");
const mac = fc.constantFrom("02:00:00:00:00:01", "02:00:00:00:00:02");
const ip = fc.constantFrom("10.5.1.0", "10.5.2.0");
const kind = fc.record({
  kind: fc.constantFrom("vxlan", "bridge"),
  mtu: fc.constantFrom(1400, 1500),
  vxlan: fc.constantFrom({ id: 1 }, { id: 2 }),
});
const farEnd = fc.constantFrom("192.0.2.1", "192.0.2.2");

const desiredState: fc.Arbitrary<DesiredState> = fc.record({
  links: fc.array(
    fc.oneof(
      fc.tuple(own, kind).map(([name, rest]) => ({ name, ...rest })),
      own.map((name) => ({ name, mtu: 1400 })),
    ),
    { maxLength: 3 },
  ),
  addresses: fc.array(
    fc.record({
      link: own,
      address: ip.map((text) => parseAddress(text)),
      prefixLength: fc.constantFrom(24, 32),
    }),
    { maxLength: 3 },
  ),
  neighbours: fc.array(fc.record({ link: own, address: ip.map((text) => parseAddress(text)), mac }), {
    maxLength: 4,
  }),
  fdb: fc.array(fc.record({ link: own, mac, destination: farEnd.map((text) => parseAddress(text)) }), {
    maxLength: 4,
  }),
  routes: fc.array(
    fc.record({
      destination: ip.map((text) => parsePrefix(`${text}/24`)),
      link: anyLink,
      gateway: fc.constantFrom(undefined, parseAddress("192.0.2.1")),
    }),
    { maxLength: 4 },
  ),
});

/** A kernel with our links or without, what is on them, and others' links and routes. */
const kernelState: fc.Arbitrary<Required<KernelSnapshot>> = fc
  .record({
    links: fc.uniqueArray(
      fc.tuple(own, kind).map(([name, rest]) => link(name, rest)),
      { selector: ({ name }) => name, maxLength: 2 },
    ),
    addresses: fc.uniqueArray(
      fc
        .tuple(anyLink, fc.oneof(ip, fc.constant("fe80::1")), fc.constantFrom(24, 32))
        .map(([on, text, length]) => address(on, text, length)),
      { selector: (each) => stateKey({ type: "address", address: each }), maxLength: 5 },
    ),
    neighbours: fc.uniqueArray(
      fc
        .tuple(anyLink, ip, mac, fc.constantFrom<"permanent" | "stale">("permanent", "stale"))
        .map((each) => neighbour(...each)),
      { selector: (each) => stateKey({ type: "neighbour", neighbour: each }), maxLength: 5 },
    ),
    fdb: fc.uniqueArray(
      fc
        .tuple(anyLink, mac, farEnd, fc.constantFrom<"permanent" | "dynamic">("permanent", "dynamic"))
        .map((each) => fdbEntry(...each)),
      { selector: (entry) => stateKey({ type: "fdb", entry }), maxLength: 5 },
    ),
    routes: fc.uniqueArray(
      fc
        .tuple(ip, anyLink, fc.constantFrom(OURS, 4), fc.constantFrom(undefined, parseAddress("192.0.2.1")))
        .map(([text, on, protocol, gateway]) =>
          route(`${text}/24`, { link: on, protocol, ...(gateway && { gateway }) }),
        ),
      { selector: (each) => stateKey({ type: "route", route: each }), maxLength: 4 },
    ),
  })
  .map((state) => {
    const links = [...state.links, link("eth0")];
    const names = new Set(links.map(({ name }) => name));
    const present = <T extends { readonly link?: string | undefined }>(all: readonly T[]): T[] =>
      all.filter((each) => names.has(each.link ?? ""));
    return {
      links,
      addresses: present(state.addresses),
      neighbours: present(state.neighbours),
      fdb: present(state.fdb),
      routes: present(state.routes),
    };
  });
