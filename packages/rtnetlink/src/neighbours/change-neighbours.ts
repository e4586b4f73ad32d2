import type { KernelError } from "@loden/linux";
import { encodeNeighbour, MessageType } from "@loden/netlink";
import type { CallOptions } from "../call-options.ts";
import { changeMany } from "../change-many.ts";
import { indexFinder, noSuchLink } from "../links/link-names.ts";
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
  const indexOf = indexFinder(socket);
  return changeMany(
    socket,
    changes,
    ({ verb, neighbour }) => {
      const { link, address, proxy } = neighbour;
      const attempt = (): string => `${verb} neighbour ${formatNeighbour(neighbour)}`;
      const index = indexOf(link);
      if (index === undefined) return noSuchLink(link, attempt);
      const isDelete = verb === "delete";
      return {
        type: isDelete ? MessageType.deleteNeighbour : MessageType.newNeighbour,
        flags: verbFlags[verb],
        payload: encodeNeighbour(
          neighbourMessage(isDelete ? { link, address, proxy, state: "none" } : neighbour, index),
        ),
        attempt,
      };
    },
    options,
  );
}
