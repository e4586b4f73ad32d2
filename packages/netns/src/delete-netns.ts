import { rmSync } from "node:fs";
import { constants, errno, KernelError, unmount } from "@loden/linux";
import { netnsFile } from "./netns-file.ts";

/**
 * Deletes a named network namespace; what still lives in it or holds it open keeps it alive without the name.
 *
 * Like `ip netns delete NAME`. A name that is left over without a namespace behind it (after a crash) is removed as well.
 *
 * @param name its name under `/run/netns`; a name that does not exist is fine.
 * @throws {KernelError} `EPERM` without privilege.
 */
export function deleteNetns(name: string): void {
  const file = netnsFile(name);
  try {
    unmount(file, constants.MNT_DETACH);
  } catch (error) {
    const notMounted =
      error instanceof KernelError && (error.errno === errno.EINVAL || error.errno === errno.ENOENT);
    if (!notMounted) throw error;
  }
  rmSync(file, { force: true });
}
