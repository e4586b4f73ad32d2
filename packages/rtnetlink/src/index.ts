/**
 * The Linux kernel's links, addresses, neighbours and routes: list, add, delete and watch them, in any network namespace,
 * without starting `ip`. Changing them needs CAP_NET_ADMIN.
 *
 * @example Two namespaces joined by a veth
 * ```ts
 * import { parseAddress } from "@loden/ip";
 * import { createNetns } from "@loden/netns";
 * import { openRtnetlink } from "@loden/rtnetlink";
 *
 * using left = createNetns();
 * using right = createNetns();
 * using rtnetlink = openRtnetlink({ netns: left });
 * await rtnetlink.links.add({ name: "wire", kind: "veth", up: true, peer: { name: "wire", netns: right, up: true } });
 * await rtnetlink.addresses.add({ link: "wire", address: parseAddress("10.0.0.1"), prefixLength: 30 });
 * console.log(await rtnetlink.routes.list());
 * ```
 *
 * @module
 */
export type { AddressChange } from "./addresses/change-addresses.ts";
export { formatLinkAddress } from "./addresses/format-link-address.ts";
export type { LinkAddress, NewAddress } from "./addresses/link-address.ts";
export type { AddressFilter } from "./addresses/list-addresses.ts";
export type { CallOptions } from "./call-options.ts";
export type { FdbChange } from "./fdb/change-fdb.ts";
export type { FdbEntry, FdbState, NewFdbEntry } from "./fdb/fdb-entry.ts";
export { formatFdbEntry } from "./fdb/format-fdb-entry.ts";
export type { FdbFilter } from "./fdb/list-fdb.ts";
export type { NewLink, NewPeer } from "./links/add-link.ts";
export { formatLink } from "./links/format-link.ts";
export type { AddrGenMode, KindSettings, Link, VxlanSettings } from "./links/link.ts";
export type { LinkSettings } from "./links/set-link.ts";
export type { NeighbourChange } from "./neighbours/change-neighbours.ts";
export { formatNeighbour } from "./neighbours/format-neighbour.ts";
export type { NeighbourFilter } from "./neighbours/list-neighbours.ts";
export type { Neighbour, NeighbourStateName, NewNeighbour } from "./neighbours/neighbour.ts";
export {
  type Addresses,
  type Fdb,
  type Links,
  type Neighbours,
  openRtnetlink,
  type OpenRtnetlinkOptions,
  type Routes,
  type Rtnetlink,
  type Rules,
} from "./open-rtnetlink.ts";
export type { RouteChange } from "./routes/change-routes.ts";
export { defaultScope } from "./routes/default-scope.ts";
export { formatRoute } from "./routes/format-route.ts";
export type { RouteListFilter } from "./routes/list-routes.ts";
export type { LookupManyOptions, LookupOptions } from "./routes/lookup-route.ts";
export type { ListedRoute, Route, RouteNextHop, RouteScopeName, RouteTypeName } from "./routes/route.ts";
export type { RuleChange } from "./rules/change-rules.ts";
export { formatRule } from "./rules/format-rule.ts";
export type { RuleFilter } from "./rules/list-rules.ts";
export type { ListedRule, Rule, RuleActionName } from "./rules/rule.ts";
export type { RtnetlinkEvent, WatchGroup, WatchOptions } from "./watch.ts";
