import type { KernelError } from "@loden/linux";
import { encodeNeighbour, MessageType } from "@loden/netlink";
import type { CallOptions } from "../call-options.ts";
import { changeMany } from "../change-many.ts";
import type { RequestSocket } from "../socket/request-socket.ts";
import { type Verb, verbFlags } from "../verb-flags.ts";
import { formatNeighbour } from "./format-neighbour.ts";
import { neighbourMessage, type NewNeighbour } from "./neighbour.ts";

/** What to do with a neighbour: `add` fails when it is there, `replace` does not. */
export interface NeighbourChange {
  /** As in `ip neighbour VERB`. */
  readonly verb: Exclude<Verb, "append">;
  /** For `delete` only link, address and `proxy` are looked at. */
  readonly neighbour: NewNeighbour;
}

/** Carries out changes of neighbours, as `ip neighbour add|replace|delete ADDRESS lladdr MAC dev LINK`. */
export async function changeNeighbours(
  socket: RequestSocket,
  changes: Iterable<NeighbourChange>,
  options?: CallOptions,
): Promise<(KernelError | undefined)[]> {
  return changeMany(
    socket,
    changes,
    {
      links: ({ neighbour }) => [neighbour.link],
      attempt: ({ verb, neighbour }) => `${verb} neighbour ${formatNeighbour(neighbour)}`,
      request: ({ verb, neighbour }, indexOf) => {
        const { link, address, proxy } = neighbour;
        const isDelete = verb === "delete";
        const message = isDelete ? { link, address, proxy, state: "none" as const } : neighbour;
        return {
          type: isDelete ? MessageType.deleteNeighbour : MessageType.newNeighbour,
          flags: verbFlags[verb],
          payload: encodeNeighbour(neighbourMessage(message, indexOf(link))),
        };
      },
    },
    options,
  );
}
