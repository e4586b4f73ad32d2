import type { Link, Route } from "@loden/rtnetlink";
import { type DesiredLink, type DesiredState, type StateObject, stateObjects } from "./desired-state.ts";
import type { KernelSnapshot } from "./kernel-snapshot.ts";
import { linkDifference } from "./link-difference.ts";
import { planRoutes } from "./plan-routes.ts";
import { sameObject } from "./same-object.ts";
import { entriesOfOurs, isLasting } from "./our-objects.ts";
import { linksOf, ownLinkOf, stateKey } from "./state-key.ts";
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

  const entries = planEntries(
    possible.filter(({ type }) => type !== "link" && type !== "route"),
    entriesOfOurs(current, scope).filter((object) => !links.gone.has(ownLinkOf(object) ?? "")),
  );
  const left = current.routes.filter(({ link }) => link === undefined || !links.gone.has(link));
  const routes = planRoutes(routesOf(possible), left, scope);
  for (const { desired: route, foreign } of routes.conflicts)
    conflicts.push({
      object: { type: "route", route },
      other: { type: "route", route: foreign },
      duplicate: false,
    });
  return {
    links: links.changes,
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
  readonly changes: readonly StateChange[];
  /** Links that are there and will be removed, with all that is on them. */
  readonly gone: ReadonlySet<string>;
  /** Links that will be made. */
  readonly made: ReadonlySet<string>;
}

/** Removals come first: of VXLAN devices of one identifier and port there can only be one. */
function planLinks(objects: readonly StateObject[], current: readonly Link[], scope: StateScope): LinkPlan {
  const remove: StateChange[] = [];
  const put: StateChange[] = [];
  const gone = new Set<string>();
  const made = new Set<string>();
  const byName = new Map(current.map((link) => [link.name, link]));
  const wanted = new Map<string, StateObject & { type: "link" }>();
  for (const object of objects) if (object.type === "link") wanted.set(object.link.name, object);
  for (const name of scope.links) {
    const existing = byName.get(name);
    const object = wanted.get(name);
    const difference = object && existing ? linkDifference(object.link, existing) : "recreate";
    if (existing && difference === "recreate") {
      remove.push({ verb: "remove", object: removable(existing) });
      gone.add(name);
    }
    if (!object || difference === "same") continue;
    if (difference !== "recreate")
      put.push({ verb: "replace", object, current: existing && removable(existing), settings: difference });
    else if (object.link.kind !== undefined) {
      put.push({ verb: "add", object });
      made.add(name);
    }
  }
  return { changes: [...remove, ...put], gone, made };
}

function removable(link: Link): StateObject {
  const { name, kind, lower, mtu, mac, up, vxlan } = link;
  const described: DesiredLink = { name, kind, lower, mtu, mac, up, vxlan };
  return { type: "link", link: described };
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

function routesOf(objects: readonly StateObject[]): Route[] {
  return objects.flatMap((object) => (object.type === "route" ? [object.route] : []));
}
