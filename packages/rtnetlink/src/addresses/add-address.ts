import type { CallOptions } from "../call-options.ts";
import type { RequestSocket } from "../socket/request-socket.ts";
import { addressRequest } from "./address-request.ts";
import type { NewAddress } from "./link-address.ts";

/** Gives a link an address, as `ip address add ADDRESS/LENGTH dev LINK`. */
export async function addAddress(
  socket: RequestSocket,
  address: NewAddress,
  { signal }: CallOptions = {},
): Promise<void> {
  signal?.throwIfAborted();
  socket.request(addressRequest(socket, "add", address));
}
