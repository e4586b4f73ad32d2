import { decodeNeighbour, encodeNeighbourFilter, MessageType } from "@loden/netlink";
import type { CallOptions } from "../call-options.ts";
import { linkNames, requireIndex } from "../links/link-names.ts";
import type { RequestSocket } from "../socket/request-socket.ts";
import { type FdbEntry, fdbEntryOf } from "./fdb-entry.ts";

/** Which entries of forwarding tables to list; absent means any. */
export interface FdbFilter extends CallOptions {
  /** Name of the device or bridge port. */
  readonly link?: string | undefined;
}

/** Lists forwarding tables, as `bridge fdb show dev LINK`. */
export async function listFdb(socket: RequestSocket, filter: FdbFilter = {}): Promise<FdbEntry[]> {
  const { link, signal } = filter;
  signal?.throwIfAborted();
  const attempt = (): string => `list forwarding entries${link === undefined ? "" : ` of link ${link}`}`;
  const names = linkNames(socket);
  const indices = new Map(Array.from(names, ([index, name]) => [name, index] as const));
  const interfaceIndex =
    link === undefined ? undefined : requireIndex((name) => indices.get(name), link, attempt);
  const payload = encodeNeighbourFilter({ family: 7, interfaceIndex });
  return socket.dump({ type: MessageType.getNeighbour, payload, attempt }, (message) => {
    const entry = fdbEntryOf(decodeNeighbour(message.payload), (index) => names.get(index));
    return interfaceIndex === undefined || entry?.linkIndex === interfaceIndex ? entry : undefined;
  });
}
