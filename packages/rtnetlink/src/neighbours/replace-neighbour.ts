import type { CallOptions } from "../call-options.ts";
import type { RequestSocket } from "../socket/request-socket.ts";
import { neighbourRequest } from "./neighbour-request.ts";
import type { NewNeighbour } from "./neighbour.ts";

/** Enters a neighbour or changes the one that is there, as `ip neighbour replace ADDRESS lladdr MAC dev LINK`. */
export async function replaceNeighbour(
  socket: RequestSocket,
  neighbour: NewNeighbour,
  { signal }: CallOptions = {},
): Promise<void> {
  signal?.throwIfAborted();
  socket.request(neighbourRequest(socket, "replace", neighbour));
}
