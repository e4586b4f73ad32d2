import { parseAddress, parsePrefix } from "@loden/ip";
import type { FdbEntry, Link, LinkAddress, ListedRoute, Neighbour } from "@loden/rtnetlink";
import * as fc from "fast-check";
import assert from "node:assert/strict";
import { describe, expect, test } from "vitest";
import { type DesiredState, type StateObject, stateObjects } from "../desired-state.ts";
import type { KernelSnapshot } from "../kernel-snapshot.ts";
import { linkDifference } from "./link-difference.ts";
import { address, fdbEntry, link, neighbour, route } from "./listed-objects.fixture.ts";
import { planState } from "./plan-state.ts";
import { sameObject } from "./same-object.ts";
import { linksOf, ownLinkOf, stateKey } from "./state-key.ts";
import type { StateChange, StatePlan } from "./state-plan.ts";
import type { StateScope } from "../state-scope.ts";

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
        const told = new Set([...again.conflicts, ...again.blocked].map(({ object }) => stateKey(object)));
        for (const object of wanted)
          expect(told.has(stateKey(object)) || possible.includes(object)).toBe(true);
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
      assert(!objects.some((other) => stateKey(other) === stateKey(object)));
      for (const name of linksOf(object)) if (object.type !== "link") this.#find(name);
      objects.push(listed(object));
    } else if (verb === "remove") {
      assert.notEqual(index, -1);
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
      assert.equal(
        objects.findIndex((other) => stateKey(other) === stateKey(object)),
        index,
      );
      objects[index] = listed(object);
    }
    this.snapshot = snapshotOf(objects);
  }

  #find(name: string): Link {
    const found = this.snapshot.links.find((each) => each.name === name);
    assert(found, name);
    return found;
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
