import type { Route } from "@loden/rtnetlink";

/** Metric that the kernel gives an IPv6 route that names none (IP6_RT_PRIO_USER). */
const IPV6_METRIC = 1024;

/**
 * What the kernel tells routes of one table apart by: no two `ip route add` of one key succeed. (`ip route append` can still
 * make two.)
 *
 * @param route Any route; a metric of 0 counts as absent, and an absent one for IPv6 as 1024.
 * @returns Destination and metric as text, equal for equal keys.
 */
export function routeKey(route: Pick<Route, "destination" | "metric">): string {
  const { destination, metric } = route;
  return `${destination.toString()} metric ${metric || (destination.family === 6 ? IPV6_METRIC : 0)}`;
}
