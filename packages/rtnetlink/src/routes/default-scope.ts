import type { Route, RouteScopeName } from "./route.ts";

/**
 * The scope of a route that names none, as `ip route add` chooses it: `link` where the destination is on the link, `host` for
 * local addresses, else `global`. IPv6 knows only `global`.
 *
 * @param route The route; its `scope` is not looked at.
 * @returns The scope that the kernel will list.
 */
export function defaultScope(route: Route): RouteScopeName {
  if (route.destination.family === 6) return "global";
  switch (route.type ?? "unicast") {
    case "local":
      return "host";
    case "unicast":
      return route.gateway || route.nextHops ? "global" : "link";
    case "broadcast":
    case "anycast":
    case "multicast":
      return "link";
    case "blackhole":
    case "unreachable":
    case "prohibit":
    case "throw":
      return "global";
  }
}
