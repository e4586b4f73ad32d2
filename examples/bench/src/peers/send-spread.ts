import { addressOf, closeFd, constants, encodeSocketAddress, errno, openSocket, sys } from "@loden/linux";
import { addMoved, isStopped, type TrafficCells } from "../dataplane/traffic-cells.ts";

const BATCH = 64;
const HEADERS = 0;
const IOVECS = HEADERS + BATCH * 64;
const NAMES = IOVECS + BATCH * 16;
const POLL_FD = NAMES + BATCH * 16;
const DATA = POLL_FD + 64;
const LEAST_BYTES = 36;
const SIZES = 256;
const PORT = 7000;

/** Where {@link sendSpread} sends. */
export interface Spread {
  /** The first of the addresses, as a number. */
  readonly first: number;
  /** How far each is from the one before. */
  readonly step: number;
  readonly addresses: number;
}

/**
 * Sends small datagrams to uniformly random addresses, as fast as it goes or so many a second.
 *
 * Each is a byte longer than the one before, also where some are lost in between, and only every 256th is shorter: a datagram joins the one before in a message
 * only if it is as long or shorter, so that two share one hardly ever, whoever their peers are. A single peer would have fewer messages otherwise.
 *
 * @param options to which addresses.
 * @param cells what was sent, and when to end.
 */
export function sendSpread(
  options: Spread & { readonly perSecond?: number | undefined },
  cells: TrafficCells,
): void {
  const { first, step, addresses, perSecond = Infinity } = options;
  const memory = new Uint8Array(new SharedArrayBuffer(DATA + LEAST_BYTES + SIZES));
  const base = addressOf(memory);
  const view = new DataView(memory.buffer);
  for (let i = 0; i < BATCH; i++) {
    const header = HEADERS + i * 64;
    view.setBigUint64(header, BigInt(base + NAMES + i * 16), true);
    view.setUint32(header + 8, 16, true);
    view.setBigUint64(header + 16, BigInt(base + IOVECS + i * 16), true);
    view.setUint32(header + 24, 1, true);
    view.setBigUint64(IOVECS + i * 16, BigInt(base + DATA), true);
    memory.set(encodeSocketAddress(Uint8Array.of(0, 0, 0, 0), PORT), NAMES + i * 16);
  }
  const fd = openSocket(constants.AF_INET, constants.SOCK_DGRAM | constants.SOCK_NONBLOCK);
  view.setInt32(POLL_FD, fd, true);
  view.setInt32(POLL_FD + 4, constants.POLLOUT, true);
  const [messages, pollFd] = [base + HEADERS, base + POLL_FD];
  let since = performance.now();
  let owed = 0;
  let next = 0;
  while (!isStopped(cells)) {
    const now = performance.now();
    owed = Math.min(BATCH, owed + ((now - since) / 1000) * perSecond);
    since = now;
    if (owed < 1) {
      sys.poll(pollFd, 0, 1);
      continue;
    }
    for (let i = 0; i < BATCH; i++) {
      view.setUint32(NAMES + i * 16 + 4, (first + Math.floor(Math.random() * addresses) * step) >>> 0);
      view.setUint32(IOVECS + i * 16 + 8, LEAST_BYTES + ((next + i) % SIZES), true);
    }
    const sent = sys.sendmmsg(fd, messages, Math.floor(owed), 0);
    if (sent > 0) {
      owed -= sent;
      next += sent;
      addMoved(cells, sent * LEAST_BYTES, sent);
    } else if (sent === -errno.EAGAIN) sys.poll(pollFd, 1, 20);
  }
  closeFd(fd);
}
