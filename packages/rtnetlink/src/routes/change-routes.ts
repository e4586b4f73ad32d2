import type { KernelError } from "@loden/linux";
import { encodeRoute, MessageFlag, MessageType } from "@loden/netlink";
import type { CallOptions } from "../call-options.ts";
import { indexFinder, noSuchLink } from "../links/link-names.ts";
import type { Request, RequestSocket } from "../socket/request-socket.ts";
import { formatRoute } from "./format-route.ts";
import type { Route } from "./route.ts";
import { deleteRouteMessage, routeMessage } from "./route-message.ts";

/** What to do with a route: `add` fails when there is one for the destination and metric, `replace` does not. */
export interface RouteChange {
  /** As in `ip route VERB`. */
  readonly verb: "add" | "replace" | "delete";
  /** For `delete`: what is given must match. */
  readonly route: Route;
}

/**
 * Carries out changes in order, 32 per system call, all of them whether or not some are refused.
 *
 * @returns For each change the error that it met, `undefined` when the kernel carried it out.
 */
export async function changeRoutes(
  socket: RequestSocket,
  changes: Iterable<RouteChange>,
  { signal }: CallOptions = {},
): Promise<(KernelError | undefined)[]> {
  const indexOf = indexFinder(socket);
  const errors: (KernelError | undefined)[] = [];
  const requests: Request[] = [];
  const positions: number[] = [];
  for (const change of changes) {
    const attempt = (): string => `${change.verb} route ${formatRoute(change.route)}`;
    const missing = missingLink(change.route, indexOf);
    if (missing === undefined) {
      positions.push(errors.length);
      requests.push(requestFor(change, (name) => indexOf(name) ?? 0, attempt));
      errors.push(undefined);
    } else {
      errors.push(noSuchLink(missing, attempt));
    }
  }
  const answers = await socket.change(requests, signal);
  for (const [index, error] of answers.entries()) if (error) errors[positions[index]!] = error;
  return errors;
}

function missingLink(route: Route, indexOf: (name: string) => number | undefined): string | undefined {
  if (route.link !== undefined && indexOf(route.link) === undefined) return route.link;
  return route.nextHops?.find((hop) => indexOf(hop.link) === undefined)?.link;
}

function requestFor(change: RouteChange, indexOf: (name: string) => number, attempt: () => string): Request {
  const { verb, route } = change;
  const isDelete = verb === "delete";
  return {
    type: isDelete ? MessageType.deleteRoute : MessageType.newRoute,
    flags: flags[verb],
    payload: encodeRoute(isDelete ? deleteRouteMessage(route, indexOf) : routeMessage(route, indexOf)),
    attempt,
  };
}

const flags = {
  add: MessageFlag.create | MessageFlag.exclusive,
  replace: MessageFlag.create | MessageFlag.replace,
  delete: 0,
};
