import { closeFd, errno, KernelError, watchReadable } from "@loden/linux";
import {
  decodeAttributes,
  decodeStatus,
  MessageFlag,
  MessageType,
  type NetlinkMessage,
} from "@loden/netlink";
import {
  drainNotifications,
  netlinkError,
  openNetlinkFd,
  openNetlinkSocket,
  type NetlinkSocket,
} from "@loden/netlink-socket";
import type { Netns } from "@loden/netns";

/** What {@link watchIpsecPolicies} gives. */
export interface IpsecPolicies extends Disposable {
  /** Whether there are any now, as far as the event loop has heard. */
  readonly any: boolean;
}

/** XFRM_MSG_* (linux/xfrm.h). */
const Message = { newSpdInfo: 0x24, getSpdInfo: 0x25, getDefault: 0x28 } as const;
/** XFRMNLGRP_EXPIRE and XFRMNLGRP_POLICY (linux/xfrm.h), group n as bit n - 1: policies that run out are told of in the first alone. */
const GROUPS = (1 << 1) | (1 << 3);
/** XFRMA_SPD_INFO: struct xfrmu_spdinfo, 32-bit counts of the policies in, out and forward, and of those of sockets. */
const SPD_INFO = 1;
/** XFRM_USERPOLICY_BLOCK */
const BLOCK = 1;

/**
 * Says whether a network namespace has IPsec policies (`ip xfrm policy`), and calls back when that changes. Packets of sockets heed them;
 * those that an eBPF program sends out of a device, or takes off it, don't.
 *
 * A policy counts in whichever direction (`in`, `out`, `fwd`), and whatever it selects; so does a default that blocks
 * (`ip xfrm policy setdefault`, Linux 5.15 or later). Policies of single sockets, which key daemons have, don't. The kernel tells of changes: nothing is
 * asked for in between.
 *
 * @param netns Where; without one, in the namespace of the calling thread.
 * @param onChange Called with the new state, from the event loop, whenever there come to be some or none.
 * @returns The state. Disposing of it ends the watch; again does nothing.
 * @throws {KernelError} EPERM without CAP_NET_ADMIN in the namespace. A kernel without IPsec is no error: it has no policies.
 */
export function watchIpsecPolicies(
  netns: Netns | undefined,
  onChange: (any: boolean) => void,
): IpsecPolicies {
  const opened = openSockets(netns);
  if (opened === undefined) return { any: false, [Symbol.dispose]: () => {} };
  const { fd, socket, close } = opened;
  try {
    let any = hasPolicies(socket);
    const watch = watchReadable(fd, () => {
      drainNotifications(fd);
      const now = hasPolicies(socket);
      if (now === any) return;
      any = now;
      onChange(any);
    });
    let isOpen = true;
    return {
      get any() {
        return any;
      },
      [Symbol.dispose](): void {
        if (!isOpen) return;
        isOpen = false;
        watch.close();
        close();
      },
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** The socket that hears of changes, which is open before it is counted, and the one that counts; `undefined` where there is no IPsec. */
function openSockets(
  netns: Netns | undefined,
): { fd: number; socket: NetlinkSocket; close: () => void } | undefined {
  let fd: number;
  try {
    fd = openNetlinkFd({ protocol: "xfrm", netns, groups: GROUPS, nonBlocking: true });
  } catch (error) {
    if (error instanceof KernelError && error.errno === errno.EPROTONOSUPPORT) return undefined;
    throw error;
  }
  try {
    const socket = openNetlinkSocket({ protocol: "xfrm", netns });
    const close = (): void => {
      socket.close();
      closeFd(fd);
    };
    return { fd, socket, close };
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

function hasPolicies(socket: NetlinkSocket): boolean {
  return countPolicies(socket) > 0 || blocksByDefault(socket);
}

function countPolicies(socket: NetlinkSocket): number {
  // Flags before the attributes, unused.
  const answer = get(socket, Message.getSpdInfo, 4, "count the IPsec policies");
  const info = answer && decodeAttributes(answer, 4).find(({ type }) => type === SPD_INFO)?.value;
  if (info === undefined) return 0;
  const counts = new DataView(info.buffer, info.byteOffset, info.byteLength);
  return counts.getUint32(0, true) + counts.getUint32(4, true) + counts.getUint32(8, true);
}

function blocksByDefault(socket: NetlinkSocket): boolean {
  try {
    // struct xfrm_userpolicy_default: a byte for in, forward and out.
    return get(socket, Message.getDefault, 3, "read the default IPsec policies")?.includes(BLOCK) ?? false;
  } catch (error) {
    // Older kernels don't know the question, and have no such defaults.
    if (error instanceof KernelError && error.errno === errno.EINVAL) return false;
    throw error;
  }
}

/** The payload of the answer to a request of so many zero bytes. */
function get(socket: NetlinkSocket, type: number, bytes: number, what: string): Uint8Array | undefined {
  const request = { type, payload: new Uint8Array(bytes), attempt: () => what };
  const sequence = socket.send([request], () => MessageFlag.acknowledge);
  let answer: Uint8Array | undefined;
  const take = (message: NetlinkMessage): boolean => {
    if (message.sequence !== sequence) return false;
    if (message.type !== MessageType.error) {
      answer = message.payload.slice();
      return false;
    }
    const status = decodeStatus(message);
    if (status.errno !== 0) throw netlinkError(request, status);
    return true;
  };
  while (!socket.receive(request).some(take));
  return answer;
}
