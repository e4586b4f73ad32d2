import { decodeLink, encodeLink, MessageType } from "@loden/netlink";
import type { CallOptions } from "../call-options.ts";
import type { RequestSocket } from "../socket/request-socket.ts";
import { type Link, linkOf } from "./link.ts";
import { WITHOUT_STATISTICS } from "./link-names.ts";

/** Lists all links of the namespace, as `ip link`. */
export async function listLinks(socket: RequestSocket, { signal }: CallOptions = {}): Promise<Link[]> {
  signal?.throwIfAborted();
  const names = new Map<number, string>();
  const request = {
    type: MessageType.getLink,
    payload: encodeLink({ extendedFilter: WITHOUT_STATISTICS }),
    attempt: () => "list links",
  };
  const messages = socket.dump(request, ({ payload }) => {
    const message = decodeLink(payload.slice());
    names.set(message.index ?? 0, message.name ?? "");
    return message;
  });
  // Masters and lower links may come later in the list than what stands on them.
  return messages.map((message) => linkOf(message, (index) => names.get(index)));
}
