import {
  bindSocket,
  closeFd,
  constants,
  errno,
  KernelError,
  openSocket,
  receiveFrom,
  watchReadable,
} from "@loden/linux";
import type { Netns } from "@loden/netns";

/** NETLINK_NETFILTER */
const NETFILTER = 12;
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
  const type = constants.SOCK_RAW | constants.SOCK_NONBLOCK;
  const open = (): number => openSocket(constants.AF_NETLINK, type, NETFILTER);
  const fd = netns ? netns.run(open) : open();
  try {
    // struct sockaddr_nl: family, padding, port id (0: the kernel picks one), groups.
    const address = new Uint8Array(12);
    const view = new DataView(address.buffer);
    view.setUint16(0, constants.AF_NETLINK, true);
    view.setUint32(8, GROUP, true);
    bindSocket(fd, address, "a netlink address");
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
