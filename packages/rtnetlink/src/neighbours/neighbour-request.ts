import { encodeNeighbour, MessageFlag, MessageType } from "@loden/netlink";
import { indexFinder, requireIndex } from "../links/link-names.ts";
import type { Request, RequestSocket } from "../socket/request-socket.ts";
import { neighbourMessage, type NewNeighbour } from "./neighbour.ts";

/** The request that adds, replaces or deletes a neighbour. */
export function neighbourRequest(
  socket: RequestSocket,
  verb: "add" | "replace" | "delete",
  neighbour: NewNeighbour,
): Request {
  const attempt = (): string => `${verb} neighbour ${neighbour.address.toString()} dev ${neighbour.link}`;
  const index = requireIndex(indexFinder(socket), neighbour.link, attempt);
  return {
    type: verb === "delete" ? MessageType.deleteNeighbour : MessageType.newNeighbour,
    flags: flags[verb],
    payload: encodeNeighbour(neighbourMessage(neighbour, index)),
    attempt,
  };
}

const flags = {
  add: MessageFlag.create | MessageFlag.exclusive,
  replace: MessageFlag.create | MessageFlag.replace,
  delete: 0,
};
