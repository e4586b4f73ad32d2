import type { Route, RouteNextHop } from "./route.ts";

/**
 * Writes a route in the words of `ip route`, so that `ip route add TEXT` adds the same one.
 *
 * @param route The route.
 * @returns For example `10.1.0.0/16 via 10.0.0.1 dev eth0 proto 76 metric 5`; what is absent or default is left out.
 */
export function formatRoute(route: Route): string {
  const { destination, source, metric, protocol, scope, table, type, mtu, nextHops } = route;
  const words: string[] = [];
  if (type !== undefined && type !== "unicast") words.push(type);
  words.push(destination.toString());
  words.push(...formatHop(route));
  if (table !== undefined && table !== 254) words.push(`table ${table}`);
  if (protocol !== undefined) words.push(`proto ${protocolNames[protocol] ?? protocol}`);
  if (scope !== undefined && scope !== "global") words.push(`scope ${scope}`);
  if (source) words.push(`src ${source.toString()}`);
  if (metric !== undefined && metric !== 0) words.push(`metric ${metric}`);
  if (mtu !== undefined) words.push(`mtu ${mtu}`);
  for (const hop of nextHops ?? []) words.push("nexthop", ...formatHop(hop), `weight ${hop.weight ?? 1}`);
  if (route.onlink) words.push("onlink");
  return words.join(" ");
}

function formatHop(hop: Pick<RouteNextHop, "gateway"> & { readonly link?: string | undefined }): string[] {
  const { gateway, link } = hop;
  const words: string[] = [];
  if (gateway) words.push(`via ${gateway.toString()}`);
  if (link !== undefined) words.push(`dev ${link}`);
  return words;
}

/** Names that every `ip` knows; the others it prints as numbers. */
const protocolNames: Readonly<Record<number, string>> = { 2: "kernel", 3: "boot", 4: "static" };
