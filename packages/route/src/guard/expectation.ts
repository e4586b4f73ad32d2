import type { Link, RtnetlinkEvent } from "@loden/rtnetlink";
import type { DesiredPlaces } from "../plan/desired-places.ts";
import type { StateObject } from "../desired-state.ts";
import type { KernelSnapshot } from "../kernel-snapshot.ts";
import { isLasting } from "../plan/our-objects.ts";
import { sameObject } from "../plan/same-object.ts";
import { linksOf, stateKey } from "../plan/state-key.ts";
import type { StateScope } from "../state-scope.ts";

/**
 * What a notification means for the state: nothing; that one desired object is missing, or is there as it should be; that all
 * has to be looked at; or that something which failed before may succeed now.
 */
export type Meaning =
  | "nothing"
  | "look"
  | "retry"
  | { readonly missing: StateObject }
  | { readonly present: StateObject };

/**
 * The desired state in the form in which notifications are matched against it.
 *
 * The kernel removes IPv4 routes without a word when their link goes down or their source address goes, so links and addresses
 * count. What we ourselves do is not among the notifications that are asked for, or says what is desired.
 */
export class Expectation {
  readonly #scope: StateScope;
  readonly #byKey: ReadonlyMap<string, StateObject>;
  /** Links that objects name, and those that routes without a link turned out to use, as last heard of. */
  readonly #links = new Map<string, string>();
  /** Whether some route leaves its link to the gateway and has not been seen in the kernel yet, so that any link may matter. */
  #anyLink = false;

  constructor({ byKey }: DesiredPlaces, scope: StateScope) {
    this.#scope = scope;
    this.#byKey = byKey;
    for (const name of scope.links) this.#links.set(name, "");
    for (const object of byKey.values()) {
      const lower = object.type === "link" ? object.link.lower : undefined;
      if (lower !== undefined) this.#links.set(lower, "");
      if (object.type !== "route") continue;
      for (const link of linksOf(object)) this.#links.set(link, "");
      if (object.route.link === undefined && object.route.gateway) this.#anyLink = true;
    }
  }

  /** The desired object of a key. */
  get(key: string): StateObject | undefined {
    return this.#byKey.get(key);
  }

  /** Takes note of what was listed: which links matter, and how they are. */
  saw({ links, routes }: KernelSnapshot): void {
    if (this.#anyLink) {
      this.#anyLink = false;
      const found = new Map(routes.map((route) => [stateKey({ type: "route", route }), route.link]));
      for (const [key, object] of this.#byKey) {
        if (object.type !== "route" || object.route.link !== undefined || !object.route.gateway) continue;
        const link = found.get(key);
        if (link === undefined) this.#anyLink = true;
        else this.#links.set(link, "");
      }
    }
    for (const link of links) if (this.#links.has(link.name)) this.#links.set(link.name, condition(link));
  }

  /** What a notification means. */
  meaningOf(event: RtnetlinkEvent): Meaning {
    switch (event.type) {
      case "overrun":
        return "look";
      case "link":
        return this.#meaningOfLink(event.link, event.change);
      case "address": {
        const { address } = event;
        if (this.#isOurLink(address.link)) {
          if (address.address.family === 6 && address.address.isLinkLocal) return "nothing";
          return this.#meaningOfEntry({ type: "address", address }, event.change);
        }
        if (event.change === "set") return "retry";
        return this.#anyLink || this.#links.has(address.link) ? "look" : "nothing";
      }
      case "neighbour": {
        const { neighbour } = event;
        if (!this.#isOurLink(neighbour.link)) return "nothing";
        return this.#meaningOfEntry({ type: "neighbour", neighbour }, event.change);
      }
      case "fdb": {
        const { entry } = event;
        if (!this.#isOurLink(entry.link) || entry.table !== "self") return "nothing";
        return this.#meaningOfEntry({ type: "fdb", entry }, event.change);
      }
      case "route":
        return this.#meaningOfRoute(event);
      case "rule":
        return "nothing"; // which nobody watches here
      default:
        return event satisfies never;
    }
  }

  #isOurLink(name: string): boolean {
    return this.#scope.links.includes(name);
  }

  #meaningOfLink(link: Link, change: "set" | "deleted"): Meaning {
    const known = this.#links.get(link.name);
    if (known === undefined) return this.#anyLink ? "look" : "nothing";
    const now = change === "deleted" ? "" : condition(link);
    if (now === known && !this.#isOurLink(link.name)) return "nothing";
    this.#links.set(link.name, now);
    return "look";
  }

  #meaningOfEntry(object: StateObject, change: "set" | "deleted"): Meaning {
    const wanted = this.#byKey.get(stateKey(object));
    if (change === "deleted") return wanted ? { missing: wanted } : "nothing";
    if (!wanted) return isLasting(object) ? "look" : "nothing";
    return sameObject(wanted, object) ? { present: wanted } : "look";
  }

  #meaningOfRoute({ route, change }: RtnetlinkEvent & { type: "route" }): Meaning {
    const { table, protocol, ownsRoute } = this.#scope;
    if (route.table !== table) return "nothing";
    const object = { type: "route", route } as const;
    const wanted = this.#byKey.get(stateKey(object));
    if (change === "deleted") return wanted ? { missing: wanted } : "nothing";
    const isOurs = route.protocol === protocol && (ownsRoute?.(route) ?? true);
    if (isOurs) return wanted && sameObject(wanted, object) ? { present: wanted } : "look";
    return wanted ? "look" : "retry";
  }
}

/** What of a link matters to routes out of it and to links above it. */
function condition({ index, up, running, mtu, mac }: Link): string {
  return `${index} ${up} ${running} ${mtu} ${mac}`;
}
