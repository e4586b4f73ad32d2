import { defaultScope, type Route, type RouteNextHop } from "@loden/rtnetlink";
import { routeKey } from "./route-key.ts";
import { sameAddress } from "./same-address.ts";

/**
 * Whether a route that the kernel lists is the one that is desired: what the desired one leaves open counts with the default
 * that the kernel gives it. Table and protocol are not compared.
 *
 * @param desired The route as it was asked for.
 * @param current The route as the kernel lists it.
 * @returns True when adding `desired` would have made `current`.
 */
export function sameRoute(desired: Route, current: Route): boolean {
  const type = desired.type ?? "unicast";
  return (
    routeKey(desired) === routeKey(current) &&
    type === (current.type ?? "unicast") &&
    (hasNoHop(type) || sameHop(desired, current)) &&
    sameAddress(desired.source, current.source) &&
    desired.mtu === current.mtu &&
    scopeOf(desired) === scopeOf(current) &&
    sameHops(desired.nextHops, current.nextHops)
  );
}

/** The kernel lists these for IPv6 with the link `lo`. */
function hasNoHop(type: NonNullable<Route["type"]>): boolean {
  return type === "blackhole" || type === "unreachable" || type === "prohibit" || type === "throw";
}

type Hop = Pick<Route, "gateway" | "link" | "onlink">;

/** A desired next hop without a link leaves it to the gateway, so any link will do. */
function sameHop(desired: Hop, current: Hop): boolean {
  return (
    sameAddress(desired.gateway, current.gateway) &&
    (desired.link === undefined || desired.link === current.link) &&
    (desired.onlink ?? false) === (current.onlink ?? false)
  );
}

function sameHops(desired: readonly RouteNextHop[] = [], current: readonly RouteNextHop[] = []): boolean {
  return (
    desired.length === current.length &&
    desired.every((hop, index) => {
      const other = current[index]!;
      return sameHop(hop, other) && (hop.weight ?? 1) === (other.weight ?? 1);
    })
  );
}

/** IPv6 routes all count as global, whatever they are asked to be. */
function scopeOf(route: Route): string {
  return route.destination.family === 6 ? "global" : (route.scope ?? defaultScope(route));
}
