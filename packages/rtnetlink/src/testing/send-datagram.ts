import { setTimeout as sleep } from "node:timers/promises";
import { type Address, addressFromBytes } from "@loden/ip";
import {
  bindSocket,
  closeFd,
  constants,
  decodeSocketAddress,
  encodeSocketAddress,
  openSocket,
  receiveFrom,
  sendTo,
} from "@loden/linux";
import type { Netns } from "@loden/netns";

const PORT = 7000;

/**
 * Sends one UDP datagram of random bytes from one namespace to another; one that is larger than the MTU travels in fragments.
 *
 * @param from the sender.
 * @param to the receiver, and the address of it that is meant.
 * @param bytes how many.
 * @param forMs how long to wait for it, in milliseconds.
 * @returns where the very same bytes came from when they arrived; `undefined` when they did not, or others.
 */
export async function sendDatagram(
  from: { readonly netns: Netns },
  to: { readonly netns: Netns; readonly address: Address },
  bytes: number,
  forMs: number = 5_000,
): Promise<string | undefined> {
  const { AF_INET, AF_INET6, SOCK_DGRAM, SOCK_NONBLOCK } = constants;
  const family = to.address.family === 4 ? AF_INET : AF_INET6;
  const open = (netns: Netns): number => netns.run(() => openSocket(family, SOCK_DGRAM | SOCK_NONBLOCK));
  const [sender, receiver] = [open(from.netns), open(to.netns)];
  try {
    const address = encodeSocketAddress(to.address.toBytes(), PORT);
    bindSocket(receiver, address);
    const data = crypto.getRandomValues(new Uint8Array(bytes));
    sendTo(sender, data, address);
    const buffer = new Uint8Array(65_536);
    for (const start = performance.now(); performance.now() - start < forMs; await sleep(5)) {
      const message = receiveFrom(receiver, buffer);
      if (message === undefined) continue;
      const isEqual = Buffer.compare(buffer.subarray(0, message.length), data) === 0;
      const source = decodeSocketAddress(message.address)?.address;
      return isEqual && source !== undefined ? addressFromBytes(source).toString() : undefined;
    }
    return undefined;
  } finally {
    closeFd(sender);
    closeFd(receiver);
  }
}
