import type { StateObject } from "../desired-state.ts";
import type { KernelSnapshot } from "../kernel-snapshot.ts";
import { hasManyFarEnds } from "./state-key.ts";
import type { StateScope } from "../state-scope.ts";

/** What of a snapshot is ours, without what the kernel learnt by itself. */
export function ourObjects(snapshot: KernelSnapshot, scope: StateScope): StateObject[] {
  const { links, protocol, ownsRoute } = scope;
  const objects: StateObject[] = [];
  for (const link of snapshot.links) if (links.includes(link.name)) objects.push({ type: "link", link });
  objects.push(...entriesOfOurs(snapshot, scope).filter(isLasting));
  for (const route of snapshot.routes)
    if (route.protocol === protocol && (ownsRoute?.(route) ?? true)) objects.push({ type: "route", route });
  return objects;
}

/** Addresses, neighbours and forwarding entries on links of ours, without those that the kernel itself makes. */
export function entriesOfOurs(
  { links, addresses = [], neighbours = [], fdb = [] }: KernelSnapshot,
  scope: StateScope,
): StateObject[] {
  const groups = new Map(links.map(({ name, vxlan }) => [name, vxlan?.group]));
  const ours = new Set(scope.links);
  const entries: StateObject[] = [];
  for (const address of addresses)
    if (ours.has(address.link) && !(address.address.family === 6 && address.address.isLinkLocal))
      entries.push({ type: "address", address });
  for (const neighbour of neighbours)
    if (ours.has(neighbour.link)) entries.push({ type: "neighbour", neighbour });
  for (const entry of fdb) {
    const { link, mac, destination, table } = entry;
    // The entry for the device's group.
    const group = groups.get(link);
    const isForGroup = group && destination?.equals(group) && hasManyFarEnds(mac);
    if (ours.has(link) && table === "self" && !isForGroup) entries.push({ type: "fdb", entry });
  }
  return entries;
}

/** Whether somebody put it there, and not the kernel, which learns neighbours and where MAC addresses are. */
export function isLasting(object: StateObject): boolean {
  if (object.type === "neighbour") return object.neighbour.state === "permanent" && !object.neighbour.proxy;
  if (object.type === "fdb") return object.entry.state !== "dynamic";
  return true;
}
