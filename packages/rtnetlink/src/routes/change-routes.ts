import type { NetlinkRequest } from "@loden/netlink-socket";
import type { KernelError } from "@loden/linux";
import { encodeRoute, MessageType } from "@loden/netlink";
import type { CallOptions } from "../call-options.ts";
import { changeMany } from "../change-many.ts";
import { indexFinder, noSuchLink } from "../links/link-names.ts";
import type { RequestSocket } from "../socket/request-socket.ts";
import { type Verb, verbFlags } from "../verb-flags.ts";
import { formatRoute } from "./format-route.ts";
import type { Route } from "./route.ts";
import { deleteRouteMessage, routeMessage } from "./route-message.ts";

/** What to do with a route: `add` fails when there is one for the destination and metric, `replace` does not. */
export interface RouteChange {
  /** As in `ip route VERB`. */
  readonly verb: Exclude<Verb, "append">;
  /** For `delete`: what is given must match. */
  readonly route: Route;
}

/** Carries out changes of routes, as `ip route add|replace|delete`. */
export async function changeRoutes(
  socket: RequestSocket,
  changes: Iterable<RouteChange>,
  options?: CallOptions,
): Promise<(KernelError | undefined)[]> {
  const indexOf = indexFinder(socket);
  return changeMany(
    socket,
    changes,
    (change) => {
      const attempt = (): string => `${change.verb} route ${formatRoute(change.route)}`;
      const missing = missingLink(change.route, indexOf);
      if (missing !== undefined) return noSuchLink(missing, attempt);
      return requestFor(change, (name) => indexOf(name) ?? 0, attempt);
    },
    options,
  );
}

function missingLink(route: Route, indexOf: (name: string) => number | undefined): string | undefined {
  if (route.link !== undefined && indexOf(route.link) === undefined) return route.link;
  return route.nextHops?.find((hop) => indexOf(hop.link) === undefined)?.link;
}

function requestFor(
  change: RouteChange,
  indexOf: (name: string) => number,
  attempt: () => string,
): NetlinkRequest {
  const { verb, route } = change;
  const isDelete = verb === "delete";
  return {
    type: isDelete ? MessageType.deleteRoute : MessageType.newRoute,
    flags: verbFlags[verb],
    payload: encodeRoute(isDelete ? deleteRouteMessage(route, indexOf) : routeMessage(route, indexOf)),
    attempt,
  };
}
