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
  const links = socket.dump(request, ({ payload }) => {
    const message = decodeLink(payload);
    names.set(message.index ?? 0, message.name ?? "");
    // The master may come later in the list: its name is filled in below.
    return { link: linkOf(message, () => undefined), master: message.master };
  });
  return links.map(({ link, master }) => (master ? { ...link, master: names.get(master) } : link));
}
