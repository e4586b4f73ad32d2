import { errno, KernelError, receiveFrom } from "@loden/linux";

/**
 * Takes the notifications that wait in a socket, without looking at them: for whoever asks the kernel how things are now. That some were lost, since more came than the
 * socket could hold, makes no difference then.
 *
 * @param fd a non-blocking socket, as `openNetlinkFd` gives it.
 * @throws {KernelError} as the kernel answers, but for `ENOBUFS`.
 */
export function drainNotifications(fd: number): void {
  const buffer = new Uint8Array(1);
  for (;;) {
    try {
      if (receiveFrom(fd, buffer) === undefined) return;
    } catch (error) {
      if (!(error instanceof KernelError && error.errno === errno.ENOBUFS)) throw error;
    }
  }
}
