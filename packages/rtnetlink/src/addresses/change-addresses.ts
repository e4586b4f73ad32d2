import type { KernelError } from "@loden/linux";
import { encodeAddress, MessageType } from "@loden/netlink";
import type { CallOptions } from "../call-options.ts";
import { changeMany } from "../change-many.ts";
import type { RequestSocket } from "../socket/request-socket.ts";
import { verbFlags } from "../verb-flags.ts";
import { formatLinkAddress } from "./format-link-address.ts";
import { addressMessage, type NewAddress } from "./link-address.ts";

/** What to do with an address of a link. */
export interface AddressChange {
  /** As in `ip address VERB`. */
  readonly verb: "add" | "delete";
  /** The address and its link. */
  readonly address: NewAddress;
}

/** Carries out changes of addresses, as `ip address add|delete ADDRESS/LENGTH dev LINK`. */
export async function changeAddresses(
  socket: RequestSocket,
  changes: Iterable<AddressChange>,
  options?: CallOptions,
): Promise<(KernelError | undefined)[]> {
  return changeMany(
    socket,
    changes,
    {
      links: ({ address }) => [address.link],
      attempt: ({ verb, address }) => `${verb} address ${formatLinkAddress(address)}`,
      request: ({ verb, address }, indexOf) => ({
        type: verb === "add" ? MessageType.newAddress : MessageType.deleteAddress,
        flags: verbFlags[verb],
        payload: encodeAddress(addressMessage(address, indexOf(address.link))),
      }),
    },
    options,
  );
}
