import type { AddressFamily } from "@loden/ip";
import { addressFamilyNumber, decodeAddress, encodeAddressFilter, MessageType } from "@loden/netlink";
import type { CallOptions } from "../call-options.ts";
import { indexFinder, nameFinder, requireIndex } from "../links/link-names.ts";
import type { RequestSocket } from "../socket/request-socket.ts";
import { type LinkAddress, linkAddressOf } from "./link-address.ts";

/** Which addresses to list; absent means any. */
export interface AddressFilter extends CallOptions {
  /** Name of the link. */
  readonly link?: string | undefined;
  /** `4` or `6`. */
  readonly family?: AddressFamily | undefined;
}

/** Lists addresses, as `ip address`. */
export async function listAddresses(
  socket: RequestSocket,
  filter: AddressFilter = {},
): Promise<LinkAddress[]> {
  const { link, family, signal } = filter;
  signal?.throwIfAborted();
  const attempt = (): string => `list addresses${link === undefined ? "" : ` of link ${link}`}`;
  const nameOf = nameFinder(socket);
  const interfaceIndex = link === undefined ? undefined : requireIndex(indexFinder(socket), link, attempt);
  const payload = encodeAddressFilter({
    family: family === undefined ? 0 : addressFamilyNumber(family),
    ...(interfaceIndex !== undefined && { interfaceIndex }),
  });
  const messages = socket.dump({ type: MessageType.getAddress, payload, attempt }, (message) =>
    decodeAddress(message.payload),
  );
  return messages
    .filter(
      (message) =>
        (interfaceIndex === undefined || message.interfaceIndex === interfaceIndex) &&
        (family === undefined || message.address.family === family),
    )
    .map((message) => linkAddressOf(message, nameOf(message.interfaceIndex) ?? ""));
}
