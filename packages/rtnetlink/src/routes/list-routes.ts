import type { AddressFamily } from "@loden/ip";
import { errno, KernelError } from "@loden/linux";
import {
  addressFamilyNumber,
  decodeRoute,
  encodeRouteFilter,
  MessageType,
  type RouteMessage,
} from "@loden/netlink";
import type { CallOptions } from "../call-options.ts";
import { linkNames } from "../links/link-names.ts";
import type { RequestSocket } from "../socket/request-socket.ts";
import type { ListedRoute } from "./route.ts";
import { listedRoute } from "./route-message.ts";

/** Which routes to list. */
export interface RouteListFilter extends CallOptions {
  /** Routing table, or `all`. Default 254, main. */
  readonly table?: number | "all" | undefined;
  /** Both without it. */
  readonly family?: AddressFamily | undefined;
  /** Number of who added them; any without it. */
  readonly protocol?: number | undefined;
}

/** Lists routes, as `ip route show table TABLE proto PROTOCOL` and `ip -6 route show`. */
export async function listRoutes(
  socket: RequestSocket,
  filter: RouteListFilter = {},
): Promise<ListedRoute[]> {
  filter.signal?.throwIfAborted();
  // Not asked for while a dump is under way: a socket has one at a time.
  const names = linkNames(socket);
  const families: readonly AddressFamily[] = filter.family === undefined ? [4, 6] : [filter.family];
  return families.flatMap((family) => listFamily(socket, family, filter, (index) => names.get(index)));
}

function listFamily(
  socket: RequestSocket,
  family: AddressFamily,
  filter: RouteListFilter,
  nameOf: (index: number) => string | undefined,
): ListedRoute[] {
  const table = filter.table === "all" ? undefined : (filter.table ?? 254);
  const { protocol } = filter;
  const wanted = (message: RouteMessage): boolean =>
    (table === undefined || message.table === table) &&
    (protocol === undefined || message.protocol === protocol) &&
    ((message.flags ?? 0) & CLONED) === 0;
  const request = {
    type: MessageType.getRoute,
    payload: encodeRouteFilter({ family: addressFamilyNumber(family), table, protocol }),
    attempt: () => `list IPv${family} routes`,
  };
  try {
    return socket.dump(request, ({ payload }) => {
      const message = decodeRoute(payload);
      return wanted(message) ? listedRoute(message, nameOf) : undefined;
    });
  } catch (error) {
    // A table without a route does not exist.
    if (error instanceof KernelError && error.errno === errno.ENOENT) return [];
    throw error;
  }
}

/** RTM_F_CLONED: a cache entry. The kernel leaves them out on strict sockets. */
const CLONED = 0x200;
