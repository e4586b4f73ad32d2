import { bindSocket, closeFd, constants, openSocket } from "@loden/linux";
import type { Netns } from "@loden/netns";

/** Whom a socket talks to: links, addresses and routes; IPsec; or netfilter. */
export type NetlinkProtocol = "route" | "xfrm" | "netfilter";

/** Options of {@link openNetlinkFd}. */
export interface OpenNetlinkFdOptions {
  /** Whom to talk to. */
  readonly protocol: NetlinkProtocol;
  /** Namespace to open it in, where it stays; without it, that of the calling thread. */
  readonly netns?: Netns | undefined;
  /** Multicast groups to hear notifications of, as bits: bit n - 1 for group n. Default none. */
  readonly groups?: number | undefined;
  /** Reads answer `EAGAIN` rather than wait. Default false. */
  readonly nonBlocking?: boolean | undefined;
}

/** NETLINK_* */
const NUMBERS: Readonly<Record<NetlinkProtocol, number>> = { route: 0, xfrm: 6, netfilter: 12 };

/**
 * Opens a netlink socket and binds it to an address that the kernel picks.
 *
 * @param options Which protocol and where.
 * @returns The descriptor; the caller closes it.
 * @throws {KernelError} EPROTONOSUPPORT when the kernel lacks the protocol, EPERM when a group is not for everybody.
 */
export function openNetlinkFd(options: OpenNetlinkFdOptions): number {
  const { protocol, netns, groups = 0, nonBlocking = false } = options;
  const type = constants.SOCK_RAW | (nonBlocking ? constants.SOCK_NONBLOCK : 0);
  const open = (): number => openSocket(constants.AF_NETLINK, type, NUMBERS[protocol]);
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
