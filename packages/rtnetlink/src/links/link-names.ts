import { errno, KernelError } from "@loden/linux";
import { decodeLink, encodeLink, type LinkMessage, MessageType } from "@loden/netlink";
import type { RequestSocket } from "../socket/request-socket.ts";

/** RTEXT_FILTER_SKIP_STATS: counters are not wanted. */
export const WITHOUT_STATISTICS = 8;

/** Asks for one link by name or index; `undefined` when there is none. */
export function findLink<T>(
  socket: RequestSocket,
  by: { readonly name: string } | { readonly index: number },
  read: (message: LinkMessage) => T,
): T | undefined {
  if ("name" in by && !isLinkName(by.name)) return undefined;
  try {
    return socket.get(
      {
        type: MessageType.getLink,
        payload: encodeLink({ ...by, extendedFilter: WITHOUT_STATISTICS }),
        attempt: () => `get link ${"name" in by ? by.name : by.index}`,
      },
      (message) => read(decodeLink(message.payload.slice())),
    );
  } catch (error) {
    if (error instanceof KernelError && error.errno === errno.ENODEV) return undefined;
    throw error;
  }
}

/** Index of a link by its name; remembers answers, so use one for a single call only: names change. */
export function indexFinder(socket: RequestSocket): (name: string) => number | undefined {
  const known = new Map<string, number | undefined>();
  return (name) => {
    if (!known.has(name))
      known.set(
        name,
        findLink(socket, { name }, (link) => link.index),
      );
    return known.get(name);
  };
}

/** Name of a link by its index; asks once for all names, when first called. */
export function nameFinder(socket: RequestSocket): (index: number) => string | undefined {
  let names: Map<number, string> | undefined;
  return (index) => (names ??= linkNames(socket)).get(index);
}

/** Names of all links by index. */
export function linkNames(socket: RequestSocket): Map<number, string> {
  const request = {
    type: MessageType.getLink,
    payload: encodeLink({ extendedFilter: WITHOUT_STATISTICS }),
    attempt: () => "list links",
  };
  return new Map(
    socket.dump(request, ({ payload }) => {
      const { index = 0, name = "" } = decodeLink(payload);
      return [index, name] as const;
    }),
  );
}

/** Index of a link that must exist. */
export function requireIndex(
  indexOf: (name: string) => number | undefined,
  name: string,
  attempt: () => string,
): number {
  const index = indexOf(name);
  if (index !== undefined) return index;
  throw noSuchLink(name, attempt);
}

/** The error for a link that does not exist. */
export function noSuchLink(name: string, attempt: () => string): KernelError {
  return new KernelError({
    attempt: attempt(),
    syscall: "netlink",
    errno: errno.ENODEV,
    detail: `there is no link "${name}"`,
  });
}

/** Whether the kernel could have a link of that name: IFNAMSIZ is 16 with the final zero. */
function isLinkName(name: string): boolean {
  const length = new TextEncoder().encode(name).length;
  return length > 0 && length < 16;
}
