import { closeFd, errno, KernelError, receiveFrom, watchReadable } from "@loden/linux";
import { openNetlinkFd } from "@loden/netlink-socket";
import type { Netns } from "@loden/netns";

/** NFNLGRP_NFTABLES as a bit. */
const GROUP = 1 << 6;

/**
 * Calls back when anybody has changed the ruleset of a namespace, we too. What was changed is not looked at: whoever cares reads the
 * ruleset again, which is also what losing notifications comes to.
 *
 * @param netns Where; without one, in the namespace of the calling thread.
 * @param onChange Called once for all the changes that were waiting.
 * @returns What ends it.
 */
export function watchNftables(netns: Netns | undefined, onChange: () => void): Disposable {
  const fd = openNetlinkFd({ protocol: "netfilter", netns, groups: GROUP, nonBlocking: true });
  try {
    const watch = watchReadable(fd, () => {
      drain(fd);
      onChange();
    });
    return {
      [Symbol.dispose](): void {
        watch.close();
        closeFd(fd);
      },
    };
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

function drain(fd: number): void {
  const buffer = new Uint8Array(1);
  for (;;) {
    try {
      if (receiveFrom(fd, buffer) === undefined) return;
    } catch (error) {
      // More than the socket could hold: some are lost, which makes no difference.
      if (!(error instanceof KernelError && error.errno === errno.ENOBUFS)) throw error;
    }
  }
}
