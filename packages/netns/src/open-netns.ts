import { constants, openFile } from "@loden/linux";
import type { Netns } from "./netns.ts";
import { netnsFile } from "./netns-file.ts";
import { netnsOfFd, OWN_NETNS } from "./netns-of-fd.ts";

/**
 * Opens a network namespace that exists.
 *
 * @param which a name under `/run/netns`, a path (with a slash), or a process id.
 * @returns the namespace; the caller closes it, which does not delete it.
 * @throws {KernelError} `ENOENT` when there is none.
 */
export function openNetns(which: string | number): Netns {
  if (typeof which === "number")
    return netnsOfFd(openFile(`/proc/${which}/ns/net`, constants.O_RDONLY), undefined);
  if (which.includes("/")) return netnsOfFd(openFile(which, constants.O_RDONLY), undefined);
  return netnsOfFd(openFile(netnsFile(which), constants.O_RDONLY), which);
}

/**
 * Opens the network namespace that the calling thread is in.
 *
 * @returns the namespace; the caller closes it.
 */
export function currentNetns(): Netns {
  return netnsOfFd(openFile(OWN_NETNS, constants.O_RDONLY), undefined);
}
