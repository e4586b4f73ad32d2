import {
  bindSocket,
  closeFd,
  constants,
  errno,
  KernelError,
  openSocket,
  setSocketOption,
} from "@loden/linux";
import type { Netns } from "@loden/netns";

/** NETLINK_ROUTE, the netlink family of links, addresses, neighbours and routes. */
const NETLINK_ROUTE = 0;

/** Options of level SOL_NETLINK (linux/netlink.h). */
export const NetlinkOption = { capAck: 10, extendedAck: 11, strictCheck: 12 } as const;

/** The kernel cuts dumps into pieces of at most 32 KiB; a single message can be a little larger. */
export const RECEIVE_BYTES = 65_536;

/**
 * Opens and binds a NETLINK_ROUTE socket inside a namespace; it stays in there.
 *
 * @param netns The namespace; without one, that of the calling thread.
 * @param type SOCK_RAW, or with SOCK_NONBLOCK.
 * @param groups Bit mask of multicast groups, bit n - 1 for group n.
 */
export function openNetlinkSocket(netns: Netns | undefined, type: number, groups: number): number {
  const open = (): number => openSocket(constants.AF_NETLINK, type, NETLINK_ROUTE);
  const fd = netns ? netns.run(open) : open();
  try {
    // struct sockaddr_nl: family, padding, port id (0: the kernel picks one), groups.
    const address = new Uint8Array(12);
    const view = new DataView(address.buffer);
    view.setUint16(0, constants.AF_NETLINK, true);
    view.setUint32(8, groups, true);
    bindSocket(fd, address, "a netlink address");
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

/** Switches an option on where the kernel knows it; older kernels only explain less and filter nothing. */
export function enableNetlinkOption(fd: number, option: number): void {
  try {
    setSocketOption(fd, constants.SOL_NETLINK, option, 1);
  } catch (error) {
    if (!(error instanceof KernelError && error.errno === errno.ENOPROTOOPT)) throw error;
  }
}
