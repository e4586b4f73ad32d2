import type { CallOptions } from "../call-options.ts";
import type { RequestSocket } from "../socket/request-socket.ts";
import { neighbourRequest } from "./neighbour-request.ts";
import type { NewNeighbour } from "./neighbour.ts";

/** Deletes a neighbour, as `ip neighbour delete ADDRESS dev LINK`. */
export async function deleteNeighbour(
  socket: RequestSocket,
  { link, address, proxy }: Pick<NewNeighbour, "link" | "address" | "proxy">,
  { signal }: CallOptions = {},
): Promise<void> {
  signal?.throwIfAborted();
  socket.request(neighbourRequest(socket, "delete", { link, address, proxy, state: "none" }));
}
