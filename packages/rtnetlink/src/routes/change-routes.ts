import type { KernelError } from "@loden/linux";
import { encodeRoute, MessageType } from "@loden/netlink";
import type { CallOptions } from "../call-options.ts";
import { changeMany } from "../change-many.ts";
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
  return changeMany(
    socket,
    changes,
    {
      links: ({ route: { link, nextHops = [] } }) => [
        ...(link === undefined ? [] : [link]),
        ...nextHops.map((hop) => hop.link),
      ],
      attempt: ({ verb, route }) => `${verb} route ${formatRoute(route)}`,
      request: ({ verb, route }, indexOf) => {
        const isDelete = verb === "delete";
        return {
          type: isDelete ? MessageType.deleteRoute : MessageType.newRoute,
          flags: verbFlags[verb],
          payload: encodeRoute((isDelete ? deleteRouteMessage : routeMessage)(route, indexOf)),
        };
      },
    },
    options,
  );
}
