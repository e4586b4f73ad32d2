import { type Address, addressFromBytes } from "@loden/ip";
import {
  bindSocket,
  closeFd,
  constants,
  decodeSocketAddress,
  encodeSocketAddress,
  getSocketName,
  getSocketOption,
  KernelError,
  openSocket,
  setSocketOption,
} from "@loden/linux";
import type { Netns } from "@loden/netns";
import { checkPort } from "./check-port.ts";
import { describeClash } from "./describe-clash.ts";
import { formatEndpoint } from "./format-endpoint.ts";
import { probeSegmentation } from "./probe-segmentation.ts";
import type { UdpSocket } from "./udp-socket.ts";

/** How large the buffers are where nothing else is asked for: a burst of a few thousand full datagrams. */
const WANTED_BUFFER_BYTES = 8 * 1024 * 1024;
// include/uapi/linux/in.h and in6.h: the same number
const IP_PMTUDISC_DO = 2;
// include/uapi/linux/udp.h
const UDP_GRO = 104;

/** Settings of {@link openUdpSocket}. */
export interface OpenUdpSocketOptions {
  /** The network namespace that the socket is to live in; the thread's own by default. It may be closed afterwards. */
  readonly netns?: Netns | undefined;
  /** The local address: one of the namespace's own, or `0.0.0.0` or `::` for all of one family. */
  readonly address: Address;
  /** The local port; 0 lets the kernel choose. */
  readonly port: number;
  /** The receive buffer that is wanted, in bytes; 8 MiB by default. Without CAP_NET_ADMIN, or in a user namespace, the kernel grants `net.core.rmem_max` at most. */
  readonly receiveBufferBytes?: number | undefined;
  /** The send buffer that is wanted, in bytes; 8 MiB by default. Without CAP_NET_ADMIN, or in a user namespace, the kernel grants `net.core.wmem_max` at most. */
  readonly sendBufferBytes?: number | undefined;
  /**
   * Whether the kernel may join and cut datagrams of one size (UDP_GRO, UDP_SEGMENT): many cross in one system call. Where it can't, the
   * socket works without, and says so in `segmentsPerSend` and `receivesTrains`. For queues alone; false by default.
   */
  readonly offload?: boolean | undefined;
  /**
   * Whether datagrams longer than their path takes are refused (`EMSGSIZE`, which a queue turns into `Verdict.tooBig`) instead of
   * fragmented. False by default.
   */
  readonly dontFragment?: boolean | undefined;
  /**
   * Whether ICMP errors about this socket's datagrams are kept for a queue's `receiveErrors` (IP_RECVERR), with the beginning of the
   * datagram that each is about. Until they are taken the descriptor polls `POLLERR`. For queues alone; false by default.
   */
  readonly hearErrors?: boolean | undefined;
  /**
   * A socket that was bound to `address` and `port` before: both then belong to one group (SO_REUSEPORT), in which all datagrams of one sender
   * reach the same socket. The first of a group is always bound alone, so that a port that somebody else has is still found out.
   */
  readonly shareWith?: UdpSocket | undefined;
}

/**
 * Opens a UDP socket: non-blocking, bound, with large buffers. An IPv6 socket takes IPv6 alone, `::` included.
 *
 * @param options where it is bound, and what buffers it gets.
 * @returns the socket; the caller closes it.
 * @throws {RangeError} for a port or a buffer size that is none.
 * @throws {KernelError} `EADDRINUSE` when another socket has the address and port: `detail` names it; `EADDRNOTAVAIL` when no device of the
 * namespace has the address; `EACCES` for a port below `net.ipv4.ip_unprivileged_port_start` without privilege.
 */
export function openUdpSocket(options: OpenUdpSocketOptions): UdpSocket {
  const {
    netns,
    port,
    receiveBufferBytes = WANTED_BUFFER_BYTES,
    sendBufferBytes = WANTED_BUFFER_BYTES,
    offload = false,
    dontFragment = false,
    hearErrors = false,
  } = options;
  checkPort(port);
  checkBufferBytes(receiveBufferBytes);
  checkBufferBytes(sendBufferBytes);
  const buffers = { receiveBufferBytes, sendBufferBytes };
  const wanted: Wanted = { ...options, ...buffers, offload, dontFragment, hearErrors };
  const open = (): UdpSocket => openHere(wanted);
  return netns === undefined ? open() : netns.run(open);
}

function checkBufferBytes(bytes: number): void {
  // The kernel keeps twice the number in a C int.
  if (Number.isInteger(bytes) && bytes > 0 && bytes < 2 ** 30) return;
  throw new RangeError(
    `Cannot open a UDP socket: a buffer of ${bytes} bytes, expected a whole number from 1 to 2^30 - 1`,
  );
}

interface Wanted {
  readonly address: Address;
  readonly port: number;
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
  readonly offload: boolean;
  readonly dontFragment: boolean;
  readonly hearErrors: boolean;
  readonly shareWith?: UdpSocket | undefined;
}

function openHere(wanted: Wanted): UdpSocket {
  const { address, port, shareWith } = wanted;
  const { AF_INET, AF_INET6, SOCK_DGRAM, SOCK_NONBLOCK, SOL_IPV6, IPV6_V6ONLY } = constants;
  const fd = openSocket(address.family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK);
  try {
    if (address.family === 6) setSocketOption(fd, SOL_IPV6, IPV6_V6ONLY, 1);
    if (wanted.dontFragment) refuseFragments(fd, address);
    if (wanted.hearErrors) keepErrors(fd, address);
    const { SO_RCVBUF, SO_RCVBUFFORCE, SO_SNDBUF, SO_SNDBUFFORCE } = constants;
    const receiveBufferBytes = growBuffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, wanted.receiveBufferBytes);
    const sendBufferBytes = growBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, wanted.sendBufferBytes);
    if (shareWith !== undefined) {
      for (const one of [shareWith.fd, fd])
        setSocketOption(one, constants.SOL_SOCKET, constants.SO_REUSEPORT, 1);
    }
    bindExplaining(fd, address, port);
    const bound = decodeSocketAddress(getSocketName(fd)) ?? { address: address.toBytes(), port };
    let closed = false;
    const close = (): void => {
      if (!closed) closeFd(fd);
      closed = true;
    };
    return {
      fd,
      address: addressFromBytes(bound.address),
      port: bound.port,
      receiveBufferBytes,
      sendBufferBytes,
      segmentsPerSend: wanted.offload ? (shareWith?.segmentsPerSend ?? probeSegmentation(address)) : 1,
      receivesTrains: wanted.offload && receiveTrains(fd),
      close,
      [Symbol.dispose]: close,
    };
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

function refuseFragments(fd: number, { family }: Address): void {
  const { SOL_IP, SOL_IPV6, IP_MTU_DISCOVER, IPV6_MTU_DISCOVER } = constants;
  if (family === 4) setSocketOption(fd, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
  else setSocketOption(fd, SOL_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_DO);
}

function keepErrors(fd: number, { family }: Address): void {
  const { SOL_IP, SOL_IPV6, IP_RECVERR, IPV6_RECVERR } = constants;
  if (family === 4) setSocketOption(fd, SOL_IP, IP_RECVERR, 1);
  else setSocketOption(fd, SOL_IPV6, IPV6_RECVERR, 1);
}

function receiveTrains(fd: number): boolean {
  try {
    setSocketOption(fd, constants.SOL_UDP, UDP_GRO, 1);
    return true;
  } catch (error) {
    if (error instanceof KernelError && error.code === "ENOPROTOOPT") return false;
    throw error;
  }
}

function growBuffer(fd: number, force: number, plain: number, bytes: number): number {
  try {
    setSocketOption(fd, constants.SOL_SOCKET, force, bytes);
  } catch (error) {
    if (!(error instanceof KernelError) || error.code !== "EPERM") throw error;
    setSocketOption(fd, constants.SOL_SOCKET, plain, bytes);
  }
  // The kernel doubles what it is given, for its own bookkeeping: socket(7).
  return getSocketOption(fd, constants.SOL_SOCKET, plain) / 2;
}

function bindExplaining(fd: number, address: Address, port: number): void {
  const endpoint = formatEndpoint(address, port);
  try {
    bindSocket(fd, encodeSocketAddress(address.toBytes(), port), endpoint);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    const detail = explainBind(error.code, address, port);
    if (detail === undefined) throw error;
    const { syscall, errno } = error;
    throw new KernelError({ attempt: `bind a UDP socket to ${endpoint}`, syscall, errno, detail });
  }
}

function explainBind(code: string, address: Address, port: number): string | undefined {
  if (code === "EADDRINUSE") return describeClash(address, port);
  if (code === "EADDRNOTAVAIL")
    return `no device in this network namespace has the address ${address.toString()}`;
  if (code === "EACCES") return "expected root, CAP_NET_BIND_SERVICE, or a port from 1024 on";
  return undefined;
}
