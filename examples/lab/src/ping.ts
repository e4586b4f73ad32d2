import type { Address, AddressFamily } from "@loden/ip";
import {
  closeFd,
  constants,
  encodeSocketAddress,
  KernelError,
  openSocket,
  receiveFrom,
  sendTo,
  watchReadable,
} from "@loden/linux";
import type { Netns } from "@loden/netns";
import { encodeIcmpEcho, parseIpv4 } from "@loden/packet";

const IPPROTO_ICMP = 1;
const ECHO_REPLY = 0;
// RFC 4443
const IPPROTO_ICMPV6 = 58;
const ECHO_REQUEST_V6 = 128;
const ECHO_REPLY_V6 = 129;

/** Sends ICMP echo requests of one address family from one network namespace. */
export interface Pinger extends Disposable {
  /**
   * Sends one request and waits for its answer.
   *
   * @param to the destination, of the pinger's family.
   * @param timeoutMs how long to wait.
   * @returns the round-trip time in milliseconds, or `null` when no answer came in time.
   */
  ping(to: Address, timeoutMs: number): Promise<number | null>;
  /** Closes the socket; pending pings end with `null`. */
  close(): void;
}

/**
 * Opens a raw ICMP socket in a namespace, for pings like those of `ping`.
 *
 * @param netns where the requests start.
 * @param family IPv4 or IPv6.
 * @returns the pinger; the caller closes it.
 * @throws {KernelError} `EPERM` without privilege.
 */
export function openPinger(netns: Netns, family: AddressFamily): Pinger {
  const { AF_INET, AF_INET6, SOCK_RAW, SOCK_NONBLOCK } = constants;
  const [domain, protocol] = family === 4 ? [AF_INET, IPPROTO_ICMP] : [AF_INET6, IPPROTO_ICMPV6];
  const fd = netns.run(() => openSocket(domain, SOCK_RAW | SOCK_NONBLOCK, protocol));
  const identifier = Math.floor(Math.random() * 0x10000);
  const buffer = new Uint8Array(2048);
  const waiting = new Map<number, (rtt: number | null) => void>();
  let sequence = 0;
  let closed = false;

  const watch = watchReadable(fd, () => {
    for (;;) {
      const message = receiveFrom(fd, buffer);
      if (message === undefined) return;
      const reply = readReply(buffer.subarray(0, message.length), family);
      if (reply?.identifier === identifier) waiting.get(reply.sequence)?.(performance.now());
    }
  });

  function ping(to: Address, timeoutMs: number): Promise<number | null> {
    const own = (sequence = (sequence + 1) & 0xffff);
    return new Promise((resolve) => {
      const timer = setTimeout(() => finish(null), timeoutMs);
      const started = performance.now();
      waiting.set(own, (at) => finish(at === null ? null : at - started));
      try {
        sendTo(fd, encodeRequest(family, identifier, own), encodeSocketAddress(to.toBytes(), 0));
      } catch (error) {
        // No route, say: that is an answer of its own, "none".
        if (!(error instanceof KernelError)) throw error;
        finish(null);
      }
      function finish(rtt: number | null): void {
        clearTimeout(timer);
        waiting.delete(own);
        resolve(rtt);
      }
    });
  }

  function close(): void {
    if (closed) return;
    closed = true;
    watch.close();
    closeFd(fd);
    for (const finish of waiting.values()) finish(null);
  }

  return { ping, close, [Symbol.dispose]: close };
}

function encodeRequest(family: AddressFamily, identifier: number, sequence: number): Uint8Array {
  const request = encodeIcmpEcho({ identifier, sequence, payload: new Uint8Array(48) });
  // The same layout in both; the checksum of IPv6, which covers the addresses, is the kernel's to fill in.
  if (family === 6) request[0] = ECHO_REQUEST_V6;
  return request;
}

interface Reply {
  readonly identifier: number;
  readonly sequence: number;
}

/** A raw IPv4 socket gives the header too, a raw IPv6 socket what follows it. */
function readReply(message: Uint8Array, family: AddressFamily): Reply | undefined {
  const icmp = family === 4 ? parseIpv4(message).payload : message;
  const view = new DataView(icmp.buffer, icmp.byteOffset, icmp.byteLength);
  if (icmp.length < 8 || view.getUint8(0) !== (family === 4 ? ECHO_REPLY : ECHO_REPLY_V6)) return undefined;
  return { identifier: view.getUint16(4), sequence: view.getUint16(6) };
}
