import { type NextHop, ON_LINK, type RouteMessage, RouteScope, RouteType } from "@loden/netlink";
import { defaultScope } from "./default-scope.ts";
import type { ListedRoute, Route, RouteNextHop, RouteScopeName, RouteTypeName } from "./route.ts";

/** RTPROT_STATIC: an administrator's. */
const STATIC = 4;
const MAIN = 254;
/** RTA_ENCAP_TYPE */
const ENCAPSULATION_TYPE = 21;

/**
 * The message for a route.
 *
 * @param indexOf Index of a link by its name; throws when there is none.
 */
export function routeMessage(route: Route, indexOf: (name: string) => number): RouteMessage {
  const { destination, gateway, link, source, metric, mtu, nextHops } = route;
  return {
    destination,
    table: route.table ?? MAIN,
    protocol: route.protocol ?? STATIC,
    scope: RouteScope[route.scope ?? defaultScope(route)],
    type: RouteType[route.type ?? "unicast"],
    flags: route.onlink ? ON_LINK : 0,
    ...(gateway && { gateway }),
    ...(link !== undefined && { interfaceIndex: indexOf(link) }),
    ...(source && { source }),
    ...(metric !== undefined && metric !== 0 && { metric }),
    ...(mtu !== undefined && { metrics: { mtu } }),
    ...(nextHops && { nextHops: nextHops.map((hop) => nextHopMessage(hop, indexOf)) }),
  };
}

/** The message that asks for a route's deletion: what the route leaves open matches anything. */
export function deleteRouteMessage(route: Route, indexOf: (name: string) => number): RouteMessage {
  return {
    ...routeMessage(route, indexOf),
    protocol: route.protocol ?? 0,
    scope: route.scope === undefined ? RouteScope.nowhere : RouteScope[route.scope],
    type: route.type === undefined ? RouteType.unspecified : RouteType[route.type],
  };
}

/** The route that a message tells of. */
export function listedRoute(
  message: RouteMessage,
  nameOf: (index: number) => string | undefined,
): ListedRoute {
  const { gateway, interfaceIndex, source, metric, metrics, nextHops } = message;
  // Written out: with thousands of routes, spreading optional members costs more than decoding them.
  const route: { -readonly [K in keyof ListedRoute]: ListedRoute[K] } = {
    destination: message.destination,
    table: message.table ?? MAIN,
    protocol: message.protocol ?? 0,
    scope: scopeNames.get(message.scope ?? 0) ?? "global",
    type: typeNames.get(message.type ?? 0) ?? "unicast",
  };
  if (gateway) route.gateway = gateway;
  if (interfaceIndex !== undefined) {
    const link = nameOf(interfaceIndex);
    if (link !== undefined) route.link = link;
    route.linkIndex = interfaceIndex;
  }
  if (source) route.source = source;
  if (metric !== undefined) route.metric = metric;
  if (metrics?.mtu !== undefined) route.mtu = metrics.mtu;
  if ((message.flags ?? 0) & ON_LINK) route.onlink = true;
  if (nextHops) route.nextHops = nextHops.map((hop) => listedNextHop(hop, nameOf));
  const wrapped = message.other?.find(({ type }) => type === ENCAPSULATION_TYPE);
  if (wrapped) route.encapsulation = new DataView(wrapped.value.slice().buffer).getUint16(0, true);
  return route;
}

function nextHopMessage(hop: RouteNextHop, indexOf: (name: string) => number): NextHop {
  return {
    interfaceIndex: indexOf(hop.link),
    weight: hop.weight ?? 1,
    flags: hop.onlink ? ON_LINK : 0,
    ...(hop.gateway && { gateway: hop.gateway }),
  };
}

function listedNextHop(hop: NextHop, nameOf: (index: number) => string | undefined): RouteNextHop {
  return {
    link: nameOf(hop.interfaceIndex) ?? "",
    weight: hop.weight ?? 1,
    ...(hop.gateway && { gateway: hop.gateway }),
    ...((hop.flags ?? 0) & ON_LINK && { onlink: true }),
  };
}

const scopeNames = new Map<number, RouteScopeName>(
  Object.entries(RouteScope).map(([name, number]) => [number, name as RouteScopeName]),
);
const typeNames = new Map<number, RouteTypeName>(
  Object.entries(RouteType)
    .filter(([name]) => name !== "unspecified")
    .map(([name, number]) => [number, name as RouteTypeName]),
);
