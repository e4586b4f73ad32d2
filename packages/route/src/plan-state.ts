import type { Link, Route } from "@loden/rtnetlink";
import { type DesiredLink, type DesiredState, type StateObject, stateObjects } from "./desired-state.ts";
import type { KernelSnapshot } from "./kernel-snapshot.ts";
import { linkDifference } from "./link-difference.ts";
import { planRoutes } from "./plan-routes.ts";
import { sameObject } from "./same-object.ts";
import { hasManyFarEnds, linksOf, stateKey } from "./state-key.ts";
import type { StateChange, StateConflict, StatePlan } from "./state-plan.ts";
import type { StateScope } from "./state-scope.ts";

/**
 * Computes what has to change so that the kernel holds the desired state and nothing else of ours. Pure.
 *
 * Ours are the links of the scope's names with the addresses, permanent neighbours and forwarding entries on them, and the
 * routes of its protocol number. Left alone even there: link-local IPv6 addresses, and neighbours and forwarding entries that
 * the kernel learnt.
 *
 * @param desired What to have.
 * @param current What there is.
 * @param scope What is ours.
 * @returns The plan; carried out, a second one is empty apart from conflicts and what is blocked.
 */
export function planState(desired: DesiredState, current: KernelSnapshot, scope: StateScope): StatePlan {
  const { objects, conflicts } = withoutDuplicates(desired);
  const links = planLinks(objects, current.links, scope);
  const present = new Set(current.links.map(({ name }) => name).filter((name) => !links.gone.has(name)));
  for (const name of [...links.made, ...(scope.expects ?? [])]) present.add(name);
  const blocked: StatePlan["blocked"][number][] = [];
  const possible = objects.filter((object) => {
    const missing = linksOf(object).find((name) => !present.has(name));
    if (missing !== undefined) blocked.push({ object, link: missing });
    return missing === undefined;
  });

  const listed = onLinks(current, links.gone);
  const entries = planEntries(
    possible.filter(({ type }) => type !== "link" && type !== "route"),
    listed.entries,
  );
  const routes = planRoutes(routesOf(possible), listed.routes, scope);
  for (const { desired: route, foreign } of routes.conflicts)
    conflicts.push({
      object: { type: "route", route },
      other: { type: "route", route: foreign },
      duplicate: false,
    });
  return {
    links: links.first,
    changes: [
      ...entries.put,
      ...routes.add.map((route): StateChange => ({ verb: "add", object: { type: "route", route } })),
      ...routes.replace.map((each): StateChange => ({
        verb: "replace",
        object: { type: "route", route: each.desired },
        current: { type: "route", route: each.current },
      })),
      ...routes.remove.map((route): StateChange => ({ verb: "remove", object: { type: "route", route } })),
      ...entries.remove.toReversed(),
      ...links.last,
    ],
    conflicts,
    blocked,
  };
}

/** Desired objects by their place: the first one counts. */
function withoutDuplicates(desired: DesiredState): { objects: StateObject[]; conflicts: StateConflict[] } {
  const places = new Map<string, StateObject>();
  const conflicts: StateConflict[] = [];
  for (const object of stateObjects(desired)) {
    const key = stateKey(object);
    const other = places.get(key);
    if (other === undefined) places.set(key, object);
    else if (!sameObject(object, other) || !sameObject(other, object))
      conflicts.push({ object, other, duplicate: true });
  }
  return { objects: [...places.values()], conflicts };
}

interface LinkPlan {
  readonly first: readonly StateChange[];
  readonly last: readonly StateChange[];
  /** Links that are there and will be removed, with all that is on them. */
  readonly gone: ReadonlySet<string>;
  /** Links that will be made. */
  readonly made: ReadonlySet<string>;
}

function planLinks(objects: readonly StateObject[], current: readonly Link[], scope: StateScope): LinkPlan {
  const first: StateChange[] = [];
  const gone = new Set<string>();
  const made = new Set<string>();
  const byName = new Map(current.map((link) => [link.name, link]));
  const wanted = new Set<string>();
  for (const object of objects) {
    if (object.type !== "link") continue;
    const { link } = object;
    wanted.add(link.name);
    const existing = byName.get(link.name);
    const difference = existing && linkDifference(link, existing);
    if (existing === undefined || difference === "recreate") {
      if (existing) {
        first.push({ verb: "remove", object: removable(existing) });
        gone.add(link.name);
      }
      if (link.kind === undefined) continue;
      first.push({ verb: "add", object });
      made.add(link.name);
    } else if (difference !== undefined && difference !== "same")
      first.push({ verb: "replace", object, current: removable(existing), settings: difference });
  }
  const last: StateChange[] = [];
  for (const name of scope.links) {
    const existing = byName.get(name);
    if (wanted.has(name) || !existing) continue;
    last.push({ verb: "remove", object: removable(existing) });
    gone.add(name);
  }
  return { first, last, gone, made };
}

function removable(link: Link): StateObject {
  const { name, kind, lower, mtu, mac, up, vxlan } = link;
  const described: DesiredLink = { name, kind, lower, mtu, mac, up, vxlan };
  return { type: "link", link: described };
}

/** What is listed, without what goes with its link. */
function onLinks(
  { links, addresses = [], neighbours = [], fdb = [], routes }: KernelSnapshot,
  gone: ReadonlySet<string>,
): { entries: StateObject[]; routes: Route[] } {
  const groups = new Map(links.map(({ name, vxlan }) => [name, vxlan?.group]));
  const entries: StateObject[] = [
    ...addresses
      .filter(({ link, address }) => !gone.has(link) && !(address.family === 6 && address.isLinkLocal))
      .map((address) => ({ type: "address", address }) as const),
    ...neighbours
      .filter(({ link }) => !gone.has(link))
      .map((neighbour) => ({ type: "neighbour", neighbour }) as const),
    ...fdb
      .filter(({ link, table }) => !gone.has(link) && table === "self")
      .filter(({ link, mac, destination }) => {
        // The kernel's own entry for the device's group.
        const group = groups.get(link);
        return !(group && destination?.equals(group) && hasManyFarEnds(mac));
      })
      .map((entry) => ({ type: "fdb", entry }) as const),
  ];
  return {
    entries,
    routes: routes.filter(({ link }) => link === undefined || !gone.has(link)),
  };
}

function planEntries(
  desired: readonly StateObject[],
  current: readonly StateObject[],
): { put: StateChange[]; remove: StateChange[] } {
  const listed = new Map(current.map((object) => [stateKey(object), object]));
  const put: StateChange[] = [];
  const wanted = new Set<string>();
  for (const object of desired) {
    const key = stateKey(object);
    wanted.add(key);
    const there = listed.get(key);
    if (there === undefined) put.push({ verb: "add", object });
    else if (!sameObject(object, there)) put.push({ verb: "replace", object, current: there });
  }
  const remove: StateChange[] = [];
  for (const [key, object] of listed)
    if (!wanted.has(key) && isLasting(object)) remove.push({ verb: "remove", object });
  return { put, remove };
}

/** Whether somebody put it there, and not the kernel, which learns neighbours and where MAC addresses are. */
function isLasting(object: StateObject): boolean {
  if (object.type === "neighbour") return object.neighbour.state === "permanent" && !object.neighbour.proxy;
  if (object.type === "fdb") return object.entry.state !== "dynamic";
  return true;
}

function routesOf(objects: readonly StateObject[]): Route[] {
  return objects.flatMap((object) => (object.type === "route" ? [object.route] : []));
}
