import type { CallOptions } from "../call-options.ts";
import type { RequestSocket } from "../socket/request-socket.ts";
import { addressRequest } from "./address-request.ts";
import type { NewAddress } from "./link-address.ts";

/** Takes an address from a link, as `ip address delete ADDRESS/LENGTH dev LINK`. */
export async function deleteAddress(
  socket: RequestSocket,
  address: NewAddress,
  { signal }: CallOptions = {},
): Promise<void> {
  signal?.throwIfAborted();
  socket.request(addressRequest(socket, "delete", address));
}
