import type { StateObject } from "../desired-state.ts";
import { sameAddress } from "./same-address.ts";
import { sameRoute } from "./same-route.ts";

/**
 * Whether an object that the kernel lists is the desired one; what the desired one leaves open counts with its default.
 * Links are compared by {@link linkDifference}, which says more.
 *
 * @param desired An address, neighbour, forwarding entry or route.
 * @param current One of the same key, as the kernel lists it.
 * @returns True when nothing has to be done.
 */
export function sameObject(desired: StateObject, current: StateObject): boolean {
  if (desired.type === "address" && current.type === "address") {
    const { peer, broadcast, scope, prefixRoute = true } = desired.address;
    const listed = current.address;
    return (
      sameAddress(peer, listed.peer) &&
      sameAddress(broadcast, listed.broadcast) &&
      (scope === undefined || scope === listed.scope) &&
      prefixRoute === (listed.prefixRoute ?? true)
    );
  }
  if (desired.type === "neighbour" && current.type === "neighbour") {
    const { mac, state = "permanent" } = desired.neighbour;
    return mac?.toLowerCase() === current.neighbour.mac && state === current.neighbour.state;
  }
  if (desired.type === "fdb" && current.type === "fdb") {
    const { destination, port, vni, via, state = "permanent" } = desired.entry;
    const listed = current.entry;
    return (
      sameAddress(destination, listed.destination) &&
      port === listed.port &&
      vni === listed.vni &&
      via === listed.via &&
      state === listed.state
    );
  }
  if (desired.type === "route" && current.type === "route") return sameRoute(desired.route, current.route);
  return false;
}
