/**
 * Linux system calls from Node.js, through koffi: the kernel's errors as documented errors, readiness, eventfd,
 * addresses of shared memory.
 *
 * @example Wake the event loop from anywhere
 * ```ts
 * import { openEventFd, watchReadable } from "@loden/linux";
 *
 * const event = openEventFd();
 * const watch = watchReadable(event.fd, () => {
 *   event.drain();
 *   watch.close();
 *   event.close();
 * });
 * event.signal();
 * ```
 *
 * @module
 */
export { addressOf } from "./address-of.ts";
export { bpf } from "./bpf.ts";
export { constants } from "./constants.ts";
export { describeErrno, errno } from "./errno.ts";
export { readLinkFeatures, setLinkFeatures } from "./ethtool.ts";
export { openEventFd, type EventFd } from "./event-fd.ts";
export { closeFd, ioctl, openFile, readFd, writeFd } from "./files.ts";
export { KernelError, type KernelErrorOptions } from "./kernel-error.ts";
export { lendMemory } from "./lend-memory.ts";
export { mount, setNamespace, unmount, unshareNamespaces, type MountOptions } from "./namespaces.ts";
export { NotSupportedError } from "./not-supported-error.ts";
export { decodeSocketAddress, encodeSocketAddress, type DecodedSocketAddress } from "./socket-address.ts";
export {
  bindSocket,
  connectSocket,
  getSocketName,
  getSocketOption,
  openSocket,
  receiveFrom,
  sendTo,
  setSocketOption,
  type ReceivedMessage,
} from "./sockets.ts";
export { sys, type Syscalls } from "./sys.ts";
export { watchReadable, type ReadableWatch } from "./watch-readable.ts";
export { yieldProcessor } from "./yield-processor.ts";
