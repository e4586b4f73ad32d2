import type { KernelError } from "@loden/linux";
import { encodeNeighbour, MessageType } from "@loden/netlink";
import type { CallOptions } from "../call-options.ts";
import { changeMany } from "../change-many.ts";
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
  return changeMany(
    socket,
    changes,
    {
      links: ({ entry: { link, via } }) => (via === undefined ? [link] : [link, via]),
      attempt: ({ verb, entry }) => `${verb} forwarding entry ${formatFdbEntry(entry)}`,
      request: ({ verb, entry }, indexOf) => ({
        type: verb === "delete" ? MessageType.deleteNeighbour : MessageType.newNeighbour,
        flags: verbFlags[verb],
        payload: encodeNeighbour(fdbMessage(entry, indexOf)),
      }),
    },
    options,
  );
}
