import type { Address } from "@loden/ip";
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
import { encodeIcmpEcho, parseIcmp, parseIpv4 } from "@loden/packet";

const IPPROTO_ICMP = 1;
const ECHO_REPLY = 0;

/** Sends ICMP echo requests from one network namespace. */
export interface Pinger extends Disposable {
  /**
   * Sends one request and waits for its answer.
   *
   * @param to the destination.
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
 * @returns the pinger; the caller closes it.
 * @throws {KernelError} `EPERM` without privilege.
 */
export function openPinger(netns: Netns): Pinger {
  const { AF_INET, SOCK_RAW, SOCK_NONBLOCK } = constants;
  const fd = netns.run(() => openSocket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ICMP));
  const identifier = Math.floor(Math.random() * 0x10000);
  const buffer = new Uint8Array(2048);
  const waiting = new Map<number, (rtt: number | null) => void>();
  let sequence = 0;
  let closed = false;

  const watch = watchReadable(fd, () => {
    for (;;) {
      const message = receiveFrom(fd, buffer);
      if (message === undefined) return;
      const reply = parseIcmp(parseIpv4(buffer.subarray(0, message.length)).payload);
      if (reply.type === ECHO_REPLY && reply.identifier === identifier)
        waiting.get(reply.sequence)?.(performance.now());
    }
  });

  function ping(to: Address, timeoutMs: number): Promise<number | null> {
    const own = (sequence = (sequence + 1) & 0xffff);
    return new Promise((resolve) => {
      const timer = setTimeout(() => finish(null), timeoutMs);
      const started = performance.now();
      waiting.set(own, (at) => finish(at === null ? null : at - started));
      try {
        sendTo(
          fd,
          encodeIcmpEcho({ identifier, sequence: own, payload: new Uint8Array(48) }),
          encodeSocketAddress(to.toBytes(), 0),
        );
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
