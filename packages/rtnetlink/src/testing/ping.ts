import { setTimeout as sleep } from "node:timers/promises";
import type { Address } from "@loden/ip";
import {
  closeFd,
  constants,
  encodeSocketAddress,
  KernelError,
  openSocket,
  receiveFrom,
  sendTo,
} from "@loden/linux";
import type { Netns } from "@loden/netns";

/** How {@link ping} asks. */
export interface PingOptions {
  /** Bytes of data. Default 56. */
  readonly bytes?: number | undefined;
  /** How long to go on asking, in milliseconds. Default 5000. */
  readonly forMs?: number | undefined;
}

const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
const ECHO_REQUEST = { 4: 8, 6: 128 } as const;
const ECHO_REPLY = { 4: 0, 6: 129 } as const;
/** Between two requests. */
const PAUSE_MS = 50;

/**
 * Asks for an ICMP echo until one comes, as `ping` does.
 *
 * @param from the namespace that asks; its kernel fills in the checksum.
 * @param to whom it asks.
 * @param options how long.
 * @returns whether an answer came in time.
 */
export async function ping(from: Netns, to: Address, options: PingOptions = {}): Promise<boolean> {
  const { bytes = 56, forMs = 5_000 } = options;
  from.setSysctl("net/ipv4/ping_group_range", "0 0");
  const { AF_INET, AF_INET6, SOCK_DGRAM, SOCK_NONBLOCK } = constants;
  const [family, protocol] = to.family === 4 ? [AF_INET, IPPROTO_ICMP] : [AF_INET6, IPPROTO_ICMPV6];
  const fd = from.run(() => openSocket(family, SOCK_DGRAM | SOCK_NONBLOCK, protocol));
  try {
    const request = new Uint8Array(8 + bytes);
    request[0] = ECHO_REQUEST[to.family];
    const buffer = new Uint8Array(65_536);
    for (const start = performance.now(); performance.now() - start < forMs;) {
      request[7]!++;
      tryOnce(() => sendTo(fd, request, encodeSocketAddress(to.toBytes(), 0)));
      for (let waited = 0; waited < PAUSE_MS; waited += 5) {
        const message = tryOnce(() => receiveFrom(fd, buffer));
        if (message !== undefined && buffer[0] === ECHO_REPLY[to.family]) return true;
        await sleep(5);
      }
    }
    return false;
  } finally {
    closeFd(fd);
  }
}

/** No route, or an error that came back, is no answer. */
function tryOnce<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}
