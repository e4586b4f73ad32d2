import type { AddressFamily } from "@loden/ip";
import { addressFamilyNumber, decodeNeighbour, encodeNeighbourFilter, MessageType } from "@loden/netlink";
import type { CallOptions } from "../call-options.ts";
import { indexFinder, nameFinder, requireIndex } from "../links/link-names.ts";
import type { RequestSocket } from "../socket/request-socket.ts";
import { type Neighbour, neighbourOf } from "./neighbour.ts";

/** Which neighbours to list; absent means any. */
export interface NeighbourFilter extends CallOptions {
  /** Name of the link. */
  readonly link?: string | undefined;
  /** `4` or `6`. */
  readonly family?: AddressFamily | undefined;
}

/** Lists neighbours, as `ip neighbour show nud all`; without proxy entries. */
export async function listNeighbours(
  socket: RequestSocket,
  filter: NeighbourFilter = {},
): Promise<Neighbour[]> {
  const { link, family, signal } = filter;
  signal?.throwIfAborted();
  const attempt = (): string => `list neighbours${link === undefined ? "" : ` of link ${link}`}`;
  const nameOf = nameFinder(socket);
  const interfaceIndex = link === undefined ? undefined : requireIndex(indexFinder(socket), link, attempt);
  const payload = encodeNeighbourFilter({
    family: family === undefined ? 0 : addressFamilyNumber(family),
    ...(interfaceIndex !== undefined && { interfaceIndex }),
  });
  const neighbours = socket.dump({ type: MessageType.getNeighbour, payload, attempt }, (message) =>
    neighbourOf(decodeNeighbour(message.payload), ""),
  );
  return neighbours
    .filter(
      (neighbour) =>
        (interfaceIndex === undefined || neighbour.linkIndex === interfaceIndex) &&
        (family === undefined || neighbour.address.family === family),
    )
    .map((neighbour) => ({ ...neighbour, link: nameOf(neighbour.linkIndex) ?? "" }));
}
