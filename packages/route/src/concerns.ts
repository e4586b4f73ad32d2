import type { Route, RtnetlinkEvent } from "@loden/rtnetlink";
import { routeKey } from "./route-key.ts";
import { sameRoute } from "./same-route.ts";

/** The desired routes in the form in which notifications are matched against them. */
export interface Watched {
  readonly table: number;
  readonly protocol: number;
  readonly byKey: ReadonlyMap<string, Route>;
  /** Links that the routes name. */
  readonly links: ReadonlySet<string>;
  /** Whether some route leaves its link to the gateway, so that any link matters. */
  readonly anyLink: boolean;
}

/** Prepares desired routes for {@link concerns}. */
export function watched(desired: readonly Route[], table: number, protocol: number): Watched {
  const links = new Set<string>();
  let anyLink = false;
  for (const { link, nextHops, gateway } of desired) {
    if (link !== undefined) links.add(link);
    for (const hop of nextHops ?? []) links.add(hop.link);
    if (link === undefined && gateway) anyLink = true;
  }
  const byKey = new Map(desired.map((route) => [routeKey(route), route]));
  return { table, protocol, byKey, links, anyLink };
}

/**
 * Whether a notification can mean that the table is no longer as desired. What we ourselves do makes notifications too; those
 * say what is desired and are passed over. The kernel removes IPv4 routes without a word when their link goes down or their
 * source address goes, so links and addresses count.
 *
 * @param waiting Whether some route is missing, so that any new link, address or route may be what it waits for.
 */
export function concerns(event: RtnetlinkEvent, desired: Watched, waiting: boolean): boolean {
  switch (event.type) {
    case "overrun":
      return true;
    case "link":
      return waiting || desired.anyLink || desired.links.has(event.link.name);
    case "address":
      return waiting || desired.anyLink || desired.links.has(event.address.link);
    case "neighbour":
    case "fdb":
      return false;
    case "route":
      return concernsRoute(event, desired) || (waiting && event.change !== "deleted");
    default:
      return event satisfies never;
  }
}

function concernsRoute(event: RtnetlinkEvent & { type: "route" }, desired: Watched): boolean {
  const { route, change } = event;
  if (route.table !== desired.table) return false;
  const wanted = desired.byKey.get(routeKey(route));
  if (change === "deleted") return wanted !== undefined;
  if (route.protocol !== desired.protocol) return wanted !== undefined;
  return wanted === undefined || !sameRoute(wanted, route);
}
