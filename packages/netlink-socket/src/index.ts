/**
 * Netlink sockets: requests and their answers, lists that are one state, and sockets for notifications. What the messages say is left to
 * `@loden/netlink` and to who asks; errors name what was attempted and carry the kernel's own words.
 *
 * @example List the tables of nftables
 * ```ts
 * import { encodeNftFilter, NftMessageType } from "@loden/netlink";
 * import { openNetlinkSocket } from "@loden/netlink-socket";
 *
 * using socket = openNetlinkSocket({ protocol: "netfilter" });
 * const request = { type: NftMessageType.getTable, payload: encodeNftFilter(), attempt: () => "list tables" };
 * console.log(socket.dump(request, ({ payload }) => payload.length));
 * ```
 *
 * @module
 */
export { drainNotifications } from "./drain-notifications.ts";
export { type NetlinkProtocol, openNetlinkFd, type OpenNetlinkFdOptions } from "./open-netlink-fd.ts";
export {
  netlinkError,
  type NetlinkRequest,
  type NetlinkSocket,
  openNetlinkSocket,
  type OpenNetlinkSocketOptions,
} from "./open-netlink-socket.ts";
