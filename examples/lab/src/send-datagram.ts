import { type Address, addressFromBytes } from "@loden/ip";
import {
  bindSocket,
  closeFd,
  constants,
  decodeSocketAddress,
  encodeSocketAddress,
  getSocketName,
  KernelError,
  openSocket,
  receiveFrom,
  sendTo,
  watchReadable,
} from "@loden/linux";
import type { Netns } from "@loden/netns";

/** What {@link sendDatagram} sends, and where to. */
export interface DatagramOptions {
  readonly from: Netns;
  readonly to: { readonly netns: Netns; readonly address: Address };
  /** How long it is; more than the path's MTU crosses in fragments. */
  readonly bytes: number;
  readonly timeoutMs: number;
}

/**
 * Sends one UDP datagram from one namespace to another.
 *
 * @param options from where to where.
 * @returns the source address that the receiver sees, or `null` when the datagram did not arrive in time, or not whole.
 */
export async function sendDatagram(options: DatagramOptions): Promise<Address | null> {
  const { from, to, bytes, timeoutMs } = options;
  using closing = new DisposableStack();
  const open = (netns: Netns): number => {
    const family = to.address.family === 4 ? constants.AF_INET : constants.AF_INET6;
    const fd = netns.run(() => openSocket(family, constants.SOCK_DGRAM | constants.SOCK_NONBLOCK));
    closing.defer(() => closeFd(fd));
    return fd;
  };
  const [receiver, sender] = [open(to.netns), open(from)];
  bindSocket(receiver, encodeSocketAddress(to.address.toBytes(), 0));
  const { port = 0 } = decodeSocketAddress(getSocketName(receiver)) ?? {};
  const data = Uint8Array.from({ length: bytes }, (_, index) => index * 7);
  const arrived = Promise.withResolvers<Address | null>();
  const watch = watchReadable(receiver, () => {
    const buffer = new Uint8Array(65_536);
    const message = receiveFrom(receiver, buffer);
    if (message === undefined) return;
    const source = decodeSocketAddress(message.address);
    const isWhole = Buffer.compare(buffer.subarray(0, message.length), data) === 0;
    arrived.resolve(isWhole && source !== undefined ? addressFromBytes(source.address) : null);
  });
  closing.defer(() => watch.close());
  const timer = setTimeout(() => arrived.resolve(null), timeoutMs);
  closing.defer(() => clearTimeout(timer));
  try {
    sendTo(sender, data, encodeSocketAddress(to.address.toBytes(), port));
  } catch (error) {
    // No route, say: that is an answer of its own, "none".
    if (!(error instanceof KernelError)) throw error;
    return null;
  }
  return await arrived.promise;
}
