import { addressOf, constants, errno, setSocketOption } from "@loden/linux";
import {
  kernelsOf,
  type PacketBatch,
  type PacketMemory,
  SegmentWord,
  setMemoryAddress,
  Verdict,
} from "@loden/packet";
import { createMessageArea, type MessageArea } from "./message-area.ts";
import type { UdpQueue } from "./udp-queue.ts";

/** How often in a row a call that fails is tried again, when the error may be an earlier datagram's. */
const MOST_ERRORS = 8;
const WAIT_MS = 10;
// include/uapi/asm-generic/errno.h; node:os does not know them
const ENONET = 64;
const EHOSTDOWN = 112;
// include/uapi/linux/in.h and in6.h: never fragment, or where the path is known to be narrow
const IP_PMTUDISC_DO = 2;
const IP_PMTUDISC_WANT = 1;

/** Settings of {@link createUdpQueue}. */
export interface UdpQueueOptions {
  /**
   * How many datagrams of one size the kernel cuts out of one message: {@linkcode UdpSocket.segmentsPerSend}. 1 by default: a message
   * each.
   */
  readonly segmentsPerSend?: number | undefined;
  /**
   * Asked about a segment of a batch that is longer than its path takes, on a socket with `dontFragment`: whether it may go in fragments
   * after all. Without it none may, and its packet gets `Verdict.tooBig`.
   */
  readonly mayFragment?: ((batch: PacketBatch, segment: number) => boolean) | undefined;
}

/** What ICMP errors make calls fail with: net/ipv4/icmp.c icmp_err_convert, net/ipv6/icmp.c tab_unreach, and neighbours that don't answer. */
const fromNetwork: ReadonlySet<number> = new Set(
  (["ENETUNREACH", "EHOSTUNREACH", "ENOPROTOOPT", "ECONNREFUSED", "EMSGSIZE", "EOPNOTSUPP"] as const)
    .map((name) => errno[name])
    .concat(errno.EPROTO, errno.EACCES, EHOSTDOWN, ENONET),
);

interface Sending {
  segmentsPerSend: number;
  /** Whether a call failed since errors were received: they may wait. */
  hasErrors: boolean;
  /** Sends the first message, in fragments if it must be; gives what sending gave. */
  sendInFragments(batch: PacketBatch, area: MessageArea): number;
}

/**
 * Creates a queue that moves datagrams between a UDP socket and batches in linear memory, one system call per batch and nothing
 * allocated.
 *
 * It works in any thread, also in one that did not open the socket, and has nothing to close: the socket's owner closes the
 * descriptor, after the last call.
 *
 * @param fd the descriptor of a UDP socket: {@linkcode UdpSocket.fd}.
 * @param memory the memory that the batches lie in; the queue keeps it alive.
 * @param options what the socket can do.
 * @returns the queue.
 */
export function createUdpQueue(fd: number, memory: PacketMemory, options: UdpQueueOptions = {}): UdpQueue {
  const known = new WeakMap<PacketBatch, MessageArea>();
  const kernels = kernelsOf(memory);
  const { mayFragment } = options;
  const sending: Sending = {
    segmentsPerSend: options.segmentsPerSend ?? 1,
    hasErrors: false,
    sendInFragments(batch, area) {
      const segment = area.firstSegment;
      if (mayFragment?.(batch, segment) !== true) return -errno.EMSGSIZE;
      const packet = batch.segments[segment * SegmentWord.count + SegmentWord.packet] as number;
      const isIpv6 = batch.view.getUint16(batch.endpoints[packet] as number, true) === constants.AF_INET6;
      discoverMtu(fd, isIpv6, IP_PMTUDISC_WANT);
      const result = area.send(1);
      discoverMtu(fd, isIpv6, IP_PMTUDISC_DO);
      return result;
    },
  };
  let pendingErrors = 0;
  let drained = true;
  setMemoryAddress(memory, addressOf(memory.memory));
  const areaOf = (batch: PacketBatch): MessageArea => {
    const area = known.get(batch) ?? createMessageArea(fd, memory, batch);
    known.set(batch, area);
    return area;
  };
  return {
    receive(batch) {
      const area = areaOf(batch);
      let result = 0;
      for (let failures = 0; failures < MOST_ERRORS;) {
        result = area.receive();
        drained = result < batch.capacity;
        if (result >= 0) return kernels.takeReceived(batch, result);
        if (result === -errno.EAGAIN) break;
        if (result === -errno.EINTR) continue;
        // The kernel reports each pending error once, so that the next call goes on.
        failures += 1;
        pendingErrors += 1;
        sending.hasErrors = true;
      }
      batch.count = 0;
      if (result !== -errno.EAGAIN && !fromNetwork.has(-result)) return result;
      // A storm of errors: there may be datagrams behind it.
      drained = result === -errno.EAGAIN;
      return 0;
    },
    receiveErrors(batch) {
      const area = areaOf(batch);
      batch.count = 0;
      const result = area.receive(constants.MSG_ERRQUEUE);
      sending.hasErrors = result === batch.capacity;
      if (result <= 0) return 0;
      const count = kernels.takeReceived(batch, result);
      area.judgeErrors();
      return count;
    },
    get hasErrors() {
      return sending.hasErrors;
    },
    send(batch) {
      const area = areaOf(batch);
      area.refuseUnaddressed();
      let sent = 0;
      for (let next = 0; next < batch.count;) {
        next = kernels.segmentPackets(batch, next);
        sent += sendSegments(batch, area, sending, 0, batch.segmentCount);
      }
      return sent;
    },
    sendSegments: (batch, from = 0, end = batch.segmentCount) =>
      sendSegments(batch, areaOf(batch), sending, from, end),
    get segmentsPerSend() {
      return sending.segmentsPerSend;
    },
    get drained() {
      return drained;
    },
    get pendingErrors() {
      return pendingErrors;
    },
  };
}

function discoverMtu(fd: number, isIpv6: boolean, how: number): void {
  const { SOL_IP, SOL_IPV6, IP_MTU_DISCOVER, IPV6_MTU_DISCOVER } = constants;
  if (isIpv6) setSocketOption(fd, SOL_IPV6, IPV6_MTU_DISCOVER, how);
  else setSocketOption(fd, SOL_IP, IP_MTU_DISCOVER, how);
}

function sendSegments(
  batch: PacketBatch,
  area: MessageArea,
  sending: Sending,
  from: number,
  end: number,
): number {
  let left = area.gather(from, end, sending.segmentsPerSend);
  let sent = 0;
  let waited = false;
  let triedAgain = false;
  while (left > 0) {
    const result = area.send(left);
    if (result > 0) {
      sent += area.segmentsOf(result);
      left = area.drop(result, left);
      triedAgain = false;
    } else if (result === -errno.EAGAIN && !waited) {
      waited = true;
      area.waitWritable(WAIT_MS);
    } else if (result === -errno.EAGAIN) {
      area.failAll(left);
      break;
    } else if (result === -errno.ENOBUFS) {
      // The device's queue is full and dropped the message. Again, or in pieces, it would only make matters worse.
      area.fail(Verdict.sendFailed);
      left = area.drop(1, left);
      triedAgain = false;
    } else if (result !== -errno.EINTR && !triedAgain) {
      // It may be an earlier datagram's error, which is reported once.
      triedAgain = true;
      sending.hasErrors = true;
    } else if (result !== -errno.EINTR && area.segmentsOf(1) > 1) {
      // The kernel does not cut this message: each datagram by itself. EIO is what a device without checksums answers to all of them.
      if (result === -errno.EIO) sending.segmentsPerSend = 1;
      left = area.gather(area.firstSegment, end, 1);
      triedAgain = false;
    } else if (result === -errno.EMSGSIZE && sending.sendInFragments(batch, area) === 1) {
      sent += 1;
      left = area.drop(1, left);
      triedAgain = false;
    } else if (result !== -errno.EINTR) {
      area.fail(result === -errno.EMSGSIZE ? Verdict.tooBig : Verdict.sendFailed);
      left = area.drop(1, left);
      triedAgain = false;
    }
  }
  return sent;
}
