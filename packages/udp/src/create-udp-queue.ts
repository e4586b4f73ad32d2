import { constants, errno } from "@loden/linux";
import { HEADROOM, type PacketBatch, type PacketMemory, Verdict } from "@loden/packet";
import { createMessageArea, type MessageArea } from "./message-area.ts";
import type { UdpQueue } from "./udp-queue.ts";

/** How often in a row a call that fails is tried again, when the error may be an earlier datagram's. */
const MOST_ERRORS = 8;
const WAIT_MS = 10;

/**
 * Creates a queue that moves datagrams between a UDP socket and batches in linear memory, one system call per batch and nothing
 * allocated.
 *
 * It works in any thread, also in one that did not open the socket, and has nothing to close: the socket's owner closes the
 * descriptor, after the last call.
 *
 * @param fd the descriptor of a UDP socket: {@linkcode UdpSocket.fd}.
 * @param memory the memory that the batches lie in; the queue keeps it alive.
 * @returns the queue.
 */
export function createUdpQueue(fd: number, memory: PacketMemory): UdpQueue {
  const known = new WeakMap<PacketBatch, MessageArea>();
  let pendingErrors = 0;
  const areaOf = (batch: PacketBatch): MessageArea => {
    const area = known.get(batch) ?? createMessageArea(fd, memory, batch);
    known.set(batch, area);
    return area;
  };
  return {
    receive(batch) {
      const area = areaOf(batch);
      area.prepareReceive();
      batch.count = 0;
      let result = 0;
      for (let failures = 0; failures < MOST_ERRORS;) {
        result = area.receive();
        if (result >= 0) return takeReceived(batch, area, result);
        if (result === -errno.EAGAIN) return 0;
        if (result === -errno.EINTR) continue;
        // The kernel reports each pending error once, so that the next call goes on.
        failures += 1;
        pendingErrors += 1;
      }
      return result;
    },
    send: (batch) => sendBatch(batch, areaOf(batch)),
    get pendingErrors() {
      return pendingErrors;
    },
  };
}

function takeReceived(batch: PacketBatch, area: MessageArea, count: number): number {
  const room = batch.slotBytes - HEADROOM;
  for (let i = 0; i < count; i += 1) {
    const cut = (area.flags(i) & constants.MSG_TRUNC) !== 0;
    batch.offsets[i] = batch.slot(i);
    batch.lengths[i] = Math.min(area.length(i), room);
    batch.verdicts[i] = cut ? Verdict.badLength : Verdict.pass;
    batch.peers[i] = -1;
    batch.endpoints[i] = area.sender(i);
  }
  batch.count = count;
  return count;
}

function sendBatch(batch: PacketBatch, area: MessageArea): number {
  let left = area.prepareSend();
  let sent = 0;
  let waited = false;
  let triedAgain = false;
  while (left > 0) {
    const result = area.send(left);
    if (result > 0) {
      left = area.drop(result, left);
      sent += result;
      triedAgain = false;
    } else if (result === -errno.EAGAIN && !waited) {
      waited = true;
      area.waitWritable(WAIT_MS);
    } else if (result === -errno.EAGAIN) {
      area.failAll(left);
      break;
    } else if (result !== -errno.EINTR && !triedAgain) {
      // It may be an earlier datagram's error, which is reported once.
      triedAgain = true;
    } else if (result !== -errno.EINTR) {
      area.fail(result === -errno.EMSGSIZE ? Verdict.tooBig : Verdict.sendFailed);
      left = area.drop(1, left);
      triedAgain = false;
    }
  }
  return sent;
}
