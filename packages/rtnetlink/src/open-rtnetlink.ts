import type { Address } from "@loden/ip";
import type { KernelError } from "@loden/linux";
import type { Netns } from "@loden/netns";
import { type AddressChange, changeAddresses } from "./addresses/change-addresses.ts";
import type { LinkAddress, NewAddress } from "./addresses/link-address.ts";
import { type AddressFilter, listAddresses } from "./addresses/list-addresses.ts";
import type { CallOptions } from "./call-options.ts";
import { changeFdb, type FdbChange } from "./fdb/change-fdb.ts";
import type { FdbEntry, NewFdbEntry } from "./fdb/fdb-entry.ts";
import { type FdbFilter, listFdb } from "./fdb/list-fdb.ts";
import { addLink, type NewLink } from "./links/add-link.ts";
import { deleteLink } from "./links/delete-link.ts";
import { getLink } from "./links/get-link.ts";
import type { Link } from "./links/link.ts";
import { listLinks } from "./links/list-links.ts";
import { type LinkSettings, setLink } from "./links/set-link.ts";
import { changeNeighbours, type NeighbourChange } from "./neighbours/change-neighbours.ts";
import { listNeighbours, type NeighbourFilter } from "./neighbours/list-neighbours.ts";
import type { Neighbour, NewNeighbour } from "./neighbours/neighbour.ts";
import { changeRoutes, type RouteChange } from "./routes/change-routes.ts";
import { listRoutes, type RouteListFilter } from "./routes/list-routes.ts";
import {
  type LookupManyOptions,
  type LookupOptions,
  lookupRoute,
  lookupRoutes,
} from "./routes/lookup-route.ts";
import type { ListedRoute, Route } from "./routes/route.ts";
import { changeRules, type RuleChange } from "./rules/change-rules.ts";
import { listRules, type RuleFilter } from "./rules/list-rules.ts";
import type { ListedRule, Rule } from "./rules/rule.ts";
import { RequestSocket } from "./socket/request-socket.ts";
import { throwFailures } from "./socket/throw-failures.ts";
import { type RtnetlinkEvent, watch, type WatchGroup, type WatchOptions } from "./watch.ts";

/** Links (devices) of the namespace. Each method rejects with a KernelError that names the link. */
export interface Links {
  /** Lists all links, as `ip link`. */
  list(options?: CallOptions): Promise<Link[]>;
  /** Gets one by its name, `undefined` when there is none. */
  get(name: string, options?: CallOptions): Promise<Link | undefined>;
  /** Creates one, as `ip link add NAME type KIND`; rejects with EEXIST when the name is taken. */
  add(link: NewLink, options?: CallOptions): Promise<void>;
  /** Changes one, as `ip link set dev NAME ...`; rejects with ENODEV when there is none. */
  set(name: string, settings: LinkSettings, options?: CallOptions): Promise<void>;
  /** Deletes one, as `ip link delete dev NAME`; a veth takes its other end with it. ENODEV when there is none. */
  delete(name: string, options?: CallOptions): Promise<void>;
}

/** Addresses of links. */
export interface Addresses {
  /** Lists addresses, as `ip address`. */
  list(filter?: AddressFilter): Promise<LinkAddress[]>;
  /** Gives a link an address; rejects with EEXIST when it has it, ENODEV when there is no such link. */
  add(address: NewAddress, options?: CallOptions): Promise<void>;
  /** Takes an address away; rejects with EADDRNOTAVAIL when the link does not have it. */
  delete(address: NewAddress, options?: CallOptions): Promise<void>;
  /** Carries out many changes, as {@link Routes.change} does. */
  change(changes: Iterable<AddressChange>, options?: CallOptions): Promise<(KernelError | undefined)[]>;
}

/** Neighbours: the ARP and NDP tables. */
export interface Neighbours {
  /** Lists neighbours, as `ip neighbour show nud all`. */
  list(filter?: NeighbourFilter): Promise<Neighbour[]>;
  /** Enters one; rejects with EEXIST when it is there. */
  add(neighbour: NewNeighbour, options?: CallOptions): Promise<void>;
  /** Enters one or changes the one that is there. */
  replace(neighbour: NewNeighbour, options?: CallOptions): Promise<void>;
  /** Deletes one; rejects with ENOENT when there is none. */
  delete(neighbour: Pick<NewNeighbour, "link" | "address" | "proxy">, options?: CallOptions): Promise<void>;
  /** Carries out many changes, as {@link Routes.change} does. */
  change(changes: Iterable<NeighbourChange>, options?: CallOptions): Promise<(KernelError | undefined)[]>;
}

/** Forwarding tables (FDB) of VXLAN devices and bridges. */
export interface Fdb {
  /** Lists entries, as `bridge fdb show`. */
  list(filter?: FdbFilter): Promise<FdbEntry[]>;
  /** Enters one; rejects with EEXIST when there is one for its MAC address. */
  add(entry: NewFdbEntry, options?: CallOptions): Promise<void>;
  /** Adds one more far end for an all-zero or multicast MAC address of a VXLAN device. */
  append(entry: NewFdbEntry, options?: CallOptions): Promise<void>;
  /** Enters one or changes the one that is there; not for all-zero and multicast MAC addresses. */
  replace(entry: NewFdbEntry, options?: CallOptions): Promise<void>;
  /** Deletes one; rejects with ENOENT when there is none. Of another destination than the given one it leaves it. */
  delete(entry: NewFdbEntry, options?: CallOptions): Promise<void>;
  /** Carries out many changes, as {@link Routes.change} does. */
  change(changes: Iterable<FdbChange>, options?: CallOptions): Promise<(KernelError | undefined)[]>;
}

/**
 * Routes. Methods for many send 32 requests per system call and carry all of them out, whether or not some are refused;
 * then they reject with the one KernelError, or with an AggregateError of several.
 */
export interface Routes {
  /** Lists routes of a table, main without one, as `ip route show` and `ip -6 route show`. */
  list(filter?: RouteListFilter): Promise<ListedRoute[]>;
  /**
   * Asks which route a packet to an address would take, as `ip route get`.
   *
   * @param address Where the packet goes to.
   * @param options What else is known of the packet: rules of policy routing may look at it.
   * @returns The route with its link and source address, and the MTU that the path has by the route or as the kernel has learnt of it;
   * `undefined` when the address cannot be reached.
   */
  lookup(address: Address, options?: LookupOptions): Promise<ListedRoute | undefined>;
  /**
   * Asks it for many addresses, 32 per system call.
   *
   * @param addresses Of either family.
   * @param options As for {@link Routes.lookup}, for all of them.
   * @returns What {@link Routes.lookup} would give for each, in order.
   */
  lookupMany(addresses: Iterable<Address>, options?: LookupManyOptions): Promise<(ListedRoute | undefined)[]>;
  /** Adds one; rejects with EEXIST when there is one for the same destination and metric. */
  add(route: Route, options?: CallOptions): Promise<void>;
  /** Adds many. */
  addMany(routes: Iterable<Route>, options?: CallOptions): Promise<void>;
  /** Adds one, or puts it in the place of the first one with the same destination and metric, whoever added that. */
  replace(route: Route, options?: CallOptions): Promise<void>;
  /** Replaces many. */
  replaceMany(routes: Iterable<Route>, options?: CallOptions): Promise<void>;
  /** Deletes the first one that matches all that is given; rejects with ESRCH when there is none. */
  delete(route: Route, options?: CallOptions): Promise<void>;
  /** Deletes many. */
  deleteMany(routes: Iterable<Route>, options?: CallOptions): Promise<void>;
  /**
   * Carries out changes in the given order and never rejects because of a refusal.
   *
   * @returns For each change its error, `undefined` when the kernel carried it out.
   */
  change(changes: Iterable<RouteChange>, options?: CallOptions): Promise<(KernelError | undefined)[]>;
}

/** Rules of policy routing. */
export interface Rules {
  /** Lists rules in their order, as `ip rule` and `ip -6 rule`. */
  list(filter?: RuleFilter): Promise<ListedRule[]>;
  /** Adds one; rejects with EEXIST when there is the same. */
  add(rule: Rule, options?: CallOptions): Promise<void>;
  /** Deletes the first one that matches; rejects with ENOENT when there is none. */
  delete(rule: Rule, options?: CallOptions): Promise<void>;
  /** Carries out many changes, as {@link Routes.change} does. */
  change(changes: Iterable<RuleChange>, options?: CallOptions): Promise<(KernelError | undefined)[]>;
}

/** A connection to the kernel's tables of one network namespace. */
export interface Rtnetlink extends Disposable {
  /** Links (devices), as `ip link`. */
  readonly links: Links;
  /** Addresses of links, as `ip address`. */
  readonly addresses: Addresses;
  /** ARP and NDP tables, as `ip neighbour`. */
  readonly neighbours: Neighbours;
  /** Forwarding tables, as `bridge fdb`. */
  readonly fdb: Fdb;
  /** Routes, as `ip route` and `ip -6 route`. */
  readonly routes: Routes;
  /** Rules of policy routing, as `ip rule` and `ip -6 rule`. */
  readonly rules: Rules;
  /**
   * Watches changes, as `ip monitor`. The watch is open when this method returns, so list afterwards to miss nothing.
   * Iterate it once; `break` closes it quietly, so does {@link Rtnetlink.close}, and aborting rejects with `signal.reason`.
   *
   * @param groups What to watch.
   * @returns Events in the kernel's order; after an `overrun` some are missing and the tables are to be listed again.
   */
  watch(groups: readonly WatchGroup[], options?: WatchOptions): AsyncIterable<RtnetlinkEvent>;
  /** Closes the sockets and ends the watches. Again does nothing. */
  close(): void;
}

/** Options of {@link openRtnetlink}. */
export interface OpenRtnetlinkOptions {
  /** Namespace to work in; without it, that of the calling thread. May be closed afterwards unless watches are opened. */
  readonly netns?: Netns | undefined;
}

/**
 * Opens a connection to the kernel's links, addresses, neighbours and routes (rtnetlink(7)).
 *
 * Requests are answered within the system call that sends them: the methods do their work before they return their promise,
 * in calls that take microseconds; only long batches of routes give the event loop a turn in between. Listing needs no
 * privilege; changing needs CAP_NET_ADMIN in the namespace.
 *
 * @param options Which namespace.
 * @returns The connection; close it after use.
 * @throws {KernelError} EPERM when the namespace may not be entered.
 */
export function openRtnetlink(options: OpenRtnetlinkOptions = {}): Rtnetlink {
  const { netns } = options;
  const socket = new RequestSocket(netns);
  const ends = new Set<() => void>();
  const close = (): void => {
    for (const end of ends) end();
    socket.close();
  };
  return {
    links: {
      list: (o) => listLinks(socket, o),
      get: (name, o) => getLink(socket, name, o),
      add: (link, o) => addLink(socket, link, o),
      set: (name, settings, o) => setLink(socket, name, settings, o),
      delete: (name, o) => deleteLink(socket, name, o),
    },
    addresses: {
      list: (filter) => listAddresses(socket, filter),
      add: (address, o) => only(changeAddresses(socket, [{ verb: "add", address }], o)),
      delete: (address, o) => only(changeAddresses(socket, [{ verb: "delete", address }], o)),
      change: (changes, o) => changeAddresses(socket, changes, o),
    },
    neighbours: {
      list: (filter) => listNeighbours(socket, filter),
      add: (neighbour, o) => only(changeNeighbours(socket, [{ verb: "add", neighbour }], o)),
      replace: (neighbour, o) => only(changeNeighbours(socket, [{ verb: "replace", neighbour }], o)),
      delete: (neighbour, o) => only(changeNeighbours(socket, [{ verb: "delete", neighbour }], o)),
      change: (changes, o) => changeNeighbours(socket, changes, o),
    },
    fdb: {
      list: (filter) => listFdb(socket, filter),
      add: (entry, o) => only(changeFdb(socket, [{ verb: "add", entry }], o)),
      append: (entry, o) => only(changeFdb(socket, [{ verb: "append", entry }], o)),
      replace: (entry, o) => only(changeFdb(socket, [{ verb: "replace", entry }], o)),
      delete: (entry, o) => only(changeFdb(socket, [{ verb: "delete", entry }], o)),
      change: (changes, o) => changeFdb(socket, changes, o),
    },
    routes: routesOver(socket),
    rules: {
      list: (filter) => listRules(socket, filter),
      add: (rule, o) => only(changeRules(socket, [{ verb: "add", rule }], o)),
      delete: (rule, o) => only(changeRules(socket, [{ verb: "delete", rule }], o)),
      change: (changes, o) => changeRules(socket, changes, o),
    },
    watch: (groups, o) => watch(socket, netns, groups, ends, o),
    close,
    [Symbol.dispose]: close,
  };
}

/** Throws what a single change met. */
async function only(errors: Promise<(KernelError | undefined)[]>): Promise<void> {
  const [error] = await errors;
  if (error) throw error;
}

function routesOver(socket: RequestSocket): Routes {
  const all = async (verb: RouteChange["verb"], routes: Iterable<Route>, o?: CallOptions): Promise<void> => {
    const errors = await changeRoutes(
      socket,
      Array.from(routes, (route) => ({ verb, route })),
      o,
    );
    throwFailures(errors, `${verb} routes`);
  };
  return {
    list: (filter) => listRoutes(socket, filter),
    lookup: (address, o) => lookupRoute(socket, address, o),
    lookupMany: (addresses, o) => lookupRoutes(socket, addresses, o),
    add: (route, o) => all("add", [route], o),
    addMany: (routes, o) => all("add", routes, o),
    replace: (route, o) => all("replace", [route], o),
    replaceMany: (routes, o) => all("replace", routes, o),
    delete: (route, o) => all("delete", [route], o),
    deleteMany: (routes, o) => all("delete", routes, o),
    change: (changes, o) => changeRoutes(socket, changes, o),
  };
}
