import { closeSync, mkdirSync, openSync, rmSync } from "node:fs";
import { constants, mount, openFile, unshareNamespaces } from "@loden/linux";
import type { Netns } from "./netns.ts";
import { netnsFile } from "./netns-file.ts";
import { netnsOfFd, OWN_NETNS, returning } from "./netns-of-fd.ts";

/** Settings of {@link createNetns}. */
export interface CreateNetnsOptions {
  /**
   * Its name under `/run/netns`, where `ip netns` finds it too. Without a name the namespace is anonymous: it goes away when it
   * is closed and nothing lives in it, even after a crash.
   */
  readonly name?: string | undefined;
}

/**
 * Creates a network namespace, with nothing in it but a loopback device that is down.
 *
 * Like `ip netns add NAME`.
 *
 * @param options its name.
 * @returns the namespace, open; the caller closes it. A named one stays until {@link deleteNetns}.
 * @throws {KernelError} `EPERM` without privilege.
 * @throws {Error} `EEXIST` when the name is taken.
 */
export function createNetns(options: CreateNetnsOptions = {}): Netns {
  const { name } = options;
  const file = name === undefined ? undefined : claimName(name);
  try {
    return returning(() => {
      unshareNamespaces(constants.CLONE_NEWNET);
      if (file !== undefined) mount(file, { source: OWN_NETNS, type: "none", flags: constants.MS_BIND });
      return netnsOfFd(openFile(OWN_NETNS, constants.O_RDONLY), name);
    });
  } catch (error) {
    if (file !== undefined) rmSync(file, { force: true });
    throw error;
  }
}

function claimName(name: string): string {
  const file = netnsFile(name);
  mkdirSync("/run/netns", { recursive: true, mode: 0o755 });
  closeSync(openSync(file, "wx", 0o000));
  return file;
}
