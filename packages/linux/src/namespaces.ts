import { checked, libc } from "./libc.ts";

/**
 * Moves the calling thread into a namespace, as `setns(2)`.
 *
 * @param fd an open namespace file.
 * @param kind `constants.CLONE_NEW*`, or 0 for any.
 * @throws {KernelError} e.g. `EPERM` without privilege.
 */
export function setNamespace(fd: number, kind: number): void {
  checked(libc().setns(fd, kind), "setns", "enter a namespace");
}

/**
 * Gives the calling thread namespaces of its own, as `unshare(2)`.
 *
 * @param flags `constants.CLONE_NEW*`.
 * @throws {KernelError} e.g. `EPERM` without privilege.
 */
export function unshareNamespaces(flags: number): void {
  checked(libc().unshare(flags), "unshare", "create a namespace");
}

/** What {@link mount} mounts. */
export interface MountOptions {
  /** What is mounted: a device, a path for a bind mount, or nothing. */
  readonly source?: string | undefined;
  /** The file system's type, e.g. `tmpfs`. */
  readonly type?: string | undefined;
  /** `constants.MS_*`. */
  readonly flags?: number | undefined;
  /** The file system's own options. */
  readonly data?: string | undefined;
}

/**
 * Mounts a file system, as `mount(2)`.
 *
 * @param target the mount point.
 * @param options what is mounted there.
 * @throws {KernelError} e.g. `EPERM` without privilege.
 */
export function mount(target: string, options: MountOptions): void {
  const { source = null, type = null, flags = 0, data = null } = options;
  checked(libc().mount(source, target, type, flags, data), "mount", `mount on ${target}`);
}

/**
 * Removes a mount, as `umount2(2)`.
 *
 * @param target the mount point.
 * @param flags `constants.MNT_*`.
 * @throws {KernelError} e.g. `EINVAL` where nothing is mounted.
 */
export function unmount(target: string, flags: number = 0): void {
  checked(libc().umount2(target, flags), "umount2", `unmount ${target}`);
}
