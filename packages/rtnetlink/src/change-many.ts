import type { KernelError } from "@loden/linux";
import type { NetlinkRequest } from "@loden/netlink-socket";
import type { CallOptions } from "./call-options.ts";
import { indexFinder, noSuchLink } from "./links/link-names.ts";
import type { RequestSocket } from "./socket/request-socket.ts";

/** How a change becomes a request. */
export interface ChangeRequests<T> {
  /** Names of links that must be there. */
  readonly links: (change: T) => readonly string[];
  /** What the change is, in words: "add route 10.1.0.0/16". */
  readonly attempt: (change: T) => string;
  /** The request; `indexOf` gives the index of a link that is there. */
  readonly request: (
    change: T,
    indexOf: (name: string) => number,
  ) => Pick<NetlinkRequest, "type" | "flags" | "payload">;
}

/**
 * Carries out changes in order, 32 per system call, all of them whether or not some are refused.
 *
 * @returns For each change the error that it met, `undefined` when the kernel carried it out.
 */
export async function changeMany<T>(
  socket: RequestSocket,
  changes: Iterable<T>,
  { links, attempt, request }: ChangeRequests<T>,
  { signal }: CallOptions = {},
): Promise<(KernelError | undefined)[]> {
  const find = indexFinder(socket);
  const errors: (KernelError | undefined)[] = [];
  const requests: NetlinkRequest[] = [];
  const positions: number[] = [];
  for (const change of changes) {
    const inWords = (): string => attempt(change);
    const missing = links(change).find((name) => find(name) === undefined);
    if (missing !== undefined) errors.push(noSuchLink(missing, inWords));
    else {
      positions.push(errors.length);
      requests.push({ ...request(change, (name) => find(name) ?? 0), attempt: inWords });
      errors.push(undefined);
    }
  }
  const answers = await socket.sendMany(requests, { signal });
  for (const [index, error] of answers.entries()) if (error) errors[positions[index]!] = error;
  return errors;
}
