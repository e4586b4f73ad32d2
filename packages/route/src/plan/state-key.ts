import type { NewFdbEntry } from "@loden/rtnetlink";
import type { StateObject } from "../desired-state.ts";
import { routeKey } from "./route-key.ts";

/**
 * What the kernel tells objects of one kind apart by: of one key there is one.
 *
 * @param object Any object; a route's table is not looked at.
 * @returns Its place as text, equal for equal places.
 */
export function stateKey(object: StateObject): string {
  switch (object.type) {
    case "link":
      return `link ${object.link.name}`;
    case "address": {
      const { link, address, prefixLength } = object.address;
      return `address ${address.toString()}/${prefixLength} dev ${link}`;
    }
    case "neighbour":
      return `neighbour ${object.neighbour.address.toString()} dev ${object.neighbour.link}`;
    case "fdb":
      return `fdb ${fdbPlace(object.entry)}`;
    case "route":
      return `route ${routeKey(object.route)}`;
  }
}

/** A MAC address has one far end, but for multicast ones and the all-zero one, which have as many as are appended. */
function fdbPlace(entry: NewFdbEntry): string {
  const { link, destination, port, vni, via } = entry;
  const mac = entry.mac.toLowerCase();
  if (!hasManyFarEnds(mac)) return `${mac} dev ${link}`;
  return `${mac} dev ${link} dst ${destination?.toString()} port ${port} vni ${vni} via ${via}`;
}

/** Whether the kernel keeps several far ends of a MAC address: where it is a multicast address or all zero. */
export function hasManyFarEnds(mac: string): boolean {
  return (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1 || mac === "00:00:00:00:00:00";
}

/** The link that an object is or is on; undefined for a route, which may use several. */
export function ownLinkOf(object: StateObject): string | undefined {
  switch (object.type) {
    case "link":
      return object.link.name;
    case "address":
      return object.address.link;
    case "neighbour":
      return object.neighbour.link;
    case "fdb":
      return object.entry.link;
    case "route":
      return undefined;
  }
}

/** Links that must be there for an object. A link's lower one only matters when it is made, and says so itself. */
export function linksOf(object: StateObject): readonly string[] {
  switch (object.type) {
    case "link":
      return object.link.kind === undefined ? [object.link.name] : [];
    case "address":
      return [object.address.link];
    case "neighbour":
      return [object.neighbour.link];
    case "fdb":
      return object.entry.via === undefined ? [object.entry.link] : [object.entry.link, object.entry.via];
    case "route": {
      const { link, nextHops = [] } = object.route;
      return [...(link === undefined ? [] : [link]), ...nextHops.map((hop) => hop.link)];
    }
  }
}
