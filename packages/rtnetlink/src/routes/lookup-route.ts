import { type Address, Prefix } from "@loden/ip";
import { errno, KernelError } from "@loden/linux";
import { decodeRoute, encodeRoute, MessageType } from "@loden/netlink";
import type { CallOptions } from "../call-options.ts";
import { nameFinder } from "../links/link-names.ts";
import type { RequestSocket } from "../socket/request-socket.ts";
import type { ListedRoute } from "./route.ts";
import { listedRoute } from "./route-message.ts";

/** Asks which route a packet to an address would take, as `ip route get ADDRESS`; `undefined` when there is none. */
export async function lookupRoute(
  socket: RequestSocket,
  address: Address,
  { signal }: CallOptions = {},
): Promise<ListedRoute | undefined> {
  signal?.throwIfAborted();
  const destination = new Prefix(address, address.family === 4 ? 32 : 128);
  const request = {
    type: MessageType.getRoute,
    // A strict socket takes no table and no type here.
    payload: encodeRoute({ destination, table: 0, type: 0 }),
    attempt: () => `look up the route to ${address.toString()}`,
  };
  try {
    const message = socket.get(request, ({ payload }) => decodeRoute(payload));
    return message && listedRoute(message, nameFinder(socket));
  } catch (error) {
    if (error instanceof KernelError && unreachable.has(error.errno)) return undefined;
    throw error;
  }
}

// The last two are what routes of type blackhole and prohibit answer (fib_props in net/ipv4/fib_semantics.c).
const unreachable: ReadonlySet<number> = new Set([
  errno.ENETUNREACH,
  errno.EHOSTUNREACH,
  errno.EINVAL,
  errno.EACCES,
]);
