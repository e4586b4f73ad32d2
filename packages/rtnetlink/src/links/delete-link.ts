import { encodeLink, MessageType } from "@loden/netlink";
import type { CallOptions } from "../call-options.ts";
import type { RequestSocket } from "../socket/request-socket.ts";
import { indexFinder, requireIndex } from "./link-names.ts";

/** Deletes a link, as `ip link delete dev NAME`; a veth takes its other end with it. */
export async function deleteLink(
  socket: RequestSocket,
  name: string,
  { signal }: CallOptions = {},
): Promise<void> {
  signal?.throwIfAborted();
  const attempt = (): string => `delete link ${name}`;
  const index = requireIndex(indexFinder(socket), name, attempt);
  socket.request({ type: MessageType.deleteLink, payload: encodeLink({ index }), attempt });
}
