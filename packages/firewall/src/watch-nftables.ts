import { closeFd, watchReadable } from "@loden/linux";
import { drainNotifications, openNetlinkFd } from "@loden/netlink-socket";
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
      drainNotifications(fd);
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
