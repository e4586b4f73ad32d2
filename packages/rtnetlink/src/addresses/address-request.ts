import { encodeAddress, MessageFlag, MessageType } from "@loden/netlink";
import { indexFinder, requireIndex } from "../links/link-names.ts";
import type { Request, RequestSocket } from "../socket/request-socket.ts";
import { addressMessage, type NewAddress } from "./link-address.ts";

/** The request that adds or deletes an address. */
export function addressRequest(socket: RequestSocket, verb: "add" | "delete", address: NewAddress): Request {
  const attempt = (): string =>
    `${verb} address ${address.address.toString()}/${address.prefixLength} dev ${address.link}`;
  const index = requireIndex(indexFinder(socket), address.link, attempt);
  return {
    type: verb === "add" ? MessageType.newAddress : MessageType.deleteAddress,
    flags: verb === "add" ? MessageFlag.create | MessageFlag.exclusive : 0,
    payload: encodeAddress(addressMessage(address, index)),
    attempt,
  };
}
