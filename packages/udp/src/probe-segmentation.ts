import type { Address } from "@loden/ip";
import {
  bindSocket,
  closeFd,
  constants,
  encodeSocketAddress,
  getSocketName,
  KernelError,
  lendMemory,
  openSocket,
  receiveFrom,
  sendTo,
  setSocketOption,
  sys,
} from "@loden/linux";

// include/uapi/linux/udp.h
const UDP_SEGMENT = 103;
/** Segments per message of kernels from 6.9 on, and of older ones (UDP_MAX_SEGMENTS). */
const MOST_SEGMENTS = [128, 64] as const;
const WAIT_MS = 50;

/**
 * Finds out how many datagrams the kernel cuts out of one message (UDP_SEGMENT), by sending some from and to an address of this host.
 *
 * The test covers what kernels got wrong: a last datagram that is as long as the others, one that is shorter, and the most datagrams. It
 * doesn't cover the device that datagrams will leave through: one without checksums answers `EIO`, which the queue meets when it sends.
 *
 * @param address an address of the network namespace that the thread is in.
 * @returns 1 when the kernel does not cut, or not rightly; where nothing arrives at all (loopback is down), what it says it can.
 */
export function probeSegmentation(address: Address): number {
  const most = MOST_SEGMENTS.find((count) => cuts(address, 1, count));
  return most !== undefined && cuts(address, 100, 300) && cuts(address, 100, 250) ? most : 1;
}

/** Whether a message of `length` bytes arrives as datagrams of `size`. With sockets of its own: nothing can come late from another test. */
function cuts(address: Address, size: number, length: number): boolean {
  const { AF_INET, AF_INET6, SOCK_DGRAM, SOCK_NONBLOCK } = constants;
  const fds: number[] = [];
  try {
    for (let i = 0; i < 2; i += 1) {
      const fd = openSocket(address.family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK);
      fds.push(fd);
      bindSocket(fd, encodeSocketAddress(address.toBytes(), 0));
    }
    const [sender = -1, receiver = -1] = fds;
    return crosses(sender, receiver, size, length);
  } catch (error) {
    if (error instanceof KernelError) return false;
    throw error;
  } finally {
    for (const fd of fds) closeFd(fd);
  }
}

function crosses(sender: number, receiver: number, size: number, length: number): boolean {
  const data = Uint8Array.from({ length }, (_, i) => i);
  try {
    setSocketOption(sender, constants.SOL_UDP, UDP_SEGMENT, size);
    sendTo(sender, data, getSocketName(receiver));
  } catch (error) {
    if (error instanceof KernelError) return error.code === "ENETUNREACH";
    throw error;
  }
  const buffer = new Uint8Array(length + 1);
  for (let at = 0; at < length; at += size) {
    if (!arrives(receiver)) return at === 0;
    const message = receiveFrom(receiver, buffer);
    const expected = data.subarray(at, at + size);
    if (message === undefined || Buffer.compare(buffer.subarray(0, message.length), expected) !== 0) {
      return false;
    }
  }
  return true;
}

function arrives(fd: number): boolean {
  // struct pollfd { int fd; short events; short revents; }
  const descriptor = new Int32Array(new ArrayBuffer(8));
  descriptor.set([fd, constants.POLLIN]);
  return lendMemory([descriptor], (address) => sys.poll(address, 1, WAIT_MS) === 1);
}
