import type { KernelError } from "@loden/linux";
import { encodeNeighbour, MessageType } from "@loden/netlink";
import type { CallOptions } from "../call-options.ts";
import { changeMany } from "../change-many.ts";
import { indexFinder, noSuchLink } from "../links/link-names.ts";
import type { RequestSocket } from "../socket/request-socket.ts";
import { type Verb, verbFlags } from "../verb-flags.ts";
import { fdbMessage, type NewFdbEntry } from "./fdb-entry.ts";
import { formatFdbEntry } from "./format-fdb-entry.ts";

/** What to do with an entry of a forwarding table: `append` adds one more far end for an all-zero or multicast MAC address. */
export interface FdbChange {
  /** As in `bridge fdb VERB`. */
  readonly verb: Verb;
  /** For `delete` a destination that is given must match; else the kernel deletes nothing, and does not say so. */
  readonly entry: NewFdbEntry;
}

/** Carries out changes of forwarding tables, as `bridge fdb add|append|replace|delete MAC dev LINK dst ADDRESS`. */
export async function changeFdb(
  socket: RequestSocket,
  changes: Iterable<FdbChange>,
  options?: CallOptions,
): Promise<(KernelError | undefined)[]> {
  const indexOf = indexFinder(socket);
  return changeMany(
    socket,
    changes,
    ({ verb, entry }) => {
      const attempt = (): string => `${verb} forwarding entry ${formatFdbEntry(entry)}`;
      const { link, via } = entry;
      if (indexOf(link) === undefined) return noSuchLink(link, attempt);
      if (via !== undefined && indexOf(via) === undefined) return noSuchLink(via, attempt);
      return {
        type: verb === "delete" ? MessageType.deleteNeighbour : MessageType.newNeighbour,
        flags: verbFlags[verb],
        payload: encodeNeighbour(fdbMessage(entry, (name) => indexOf(name) ?? 0)),
        attempt,
      };
    },
    options,
  );
}
