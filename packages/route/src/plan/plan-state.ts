import type { Link, Route } from "@loden/rtnetlink";
import { type DesiredPlaces, placesOf } from "./desired-places.ts";
import type { DesiredLink, DesiredState, StateObject } from "../desired-state.ts";
import type { KernelSnapshot } from "../kernel-snapshot.ts";
import { linkDifference } from "./link-difference.ts";
import { planRoutes } from "./plan-routes.ts";
import { sameObject } from "./same-object.ts";
import { entriesOfOurs, isLasting } from "./our-objects.ts";
import { linksOf, ownLinkOf, stateKey } from "./state-key.ts";
import type { StateChange, StateConflict, StatePlan } from "./state-plan.ts";
import type { StateScope } from "../state-scope.ts";

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
  return planPlaces(placesOf(desired), current, scope);
}

/** As {@link planState}, of a desired state whose places are known. */
export function planPlaces(
  { byKey, duplicates }: DesiredPlaces,
  current: KernelSnapshot,
  scope: StateScope,
): StatePlan {
  const conflicts: StateConflict[] = [...duplicates];
  const links = planLinks(byKey.values(), current.links, scope);
  const present = new Set(current.links.map(({ name }) => name).filter((name) => !links.gone.has(name)));
  for (const name of [...links.made, ...(scope.expects ?? [])]) present.add(name);
  const blocked: StatePlan["blocked"][number][] = [];
  const wanted = new Map<string, StateObject>();
  const wantedRoutes: Route[] = [];
  for (const [key, object] of byKey) {
    const missing = missingLink(object, present);
    if (missing !== undefined) blocked.push({ object, link: missing });
    else if (object.type === "route") wantedRoutes.push(object.route);
    else if (object.type !== "link") wanted.set(key, object);
  }

  const entries = planEntries(
    wanted,
    entriesOfOurs(current, scope).filter((object) => !links.gone.has(ownLinkOf(object) ?? "")),
  );
  const left = current.routes.filter(({ link }) => link === undefined || !links.gone.has(link));
  const routes = planRoutes(wantedRoutes, left, scope);
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

interface LinkPlan {
  readonly changes: readonly StateChange[];
  /** Links that are there and will be removed, with all that is on them. */
  readonly gone: ReadonlySet<string>;
  /** Links that will be made. */
  readonly made: ReadonlySet<string>;
}

/** Removals come first: of VXLAN devices of one identifier and port there can only be one. */
function planLinks(objects: Iterable<StateObject>, current: readonly Link[], scope: StateScope): LinkPlan {
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

/** The first link that an object needs and that is not there; a lower link only matters to a link that is made. */
function missingLink(object: StateObject, present: ReadonlySet<string>): string | undefined {
  if (object.type === "link" && object.link.kind !== undefined) return undefined;
  return linksOf(object).find((name) => !present.has(name));
}

function planEntries(
  wanted: ReadonlyMap<string, StateObject>,
  current: readonly StateObject[],
): { put: StateChange[]; remove: StateChange[] } {
  const listed = new Map<string, StateObject>();
  const remove: StateChange[] = [];
  for (const object of current) {
    const key = stateKey(object);
    listed.set(key, object);
    if (!wanted.has(key) && isLasting(object)) remove.push({ verb: "remove", object });
  }
  const put: StateChange[] = [];
  for (const [key, object] of wanted) {
    const there = listed.get(key);
    if (there === undefined) put.push({ verb: "add", object });
    else if (!sameObject(object, there)) put.push({ verb: "replace", object, current: there });
  }
  return { put, remove };
}
