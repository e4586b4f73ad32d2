import type { CallOptions } from "../call-options.ts";
import type { RequestSocket } from "../socket/request-socket.ts";
import { type Link, linkOf } from "./link.ts";
import { findLink } from "./link-names.ts";

/** Gets one link by its name, `undefined` when there is none, as `ip link show dev NAME`. */
export async function getLink(
  socket: RequestSocket,
  name: string,
  { signal }: CallOptions = {},
): Promise<Link | undefined> {
  signal?.throwIfAborted();
  const message = findLink(socket, { name }, (found) => found);
  return message && linkOf(message, (index) => findLink(socket, { index }, (other) => other.name));
}
