// What a traffic agent's worker does, one job at a time: each is a loop of system calls that ends when it is told to.
import {
  bindSocket,
  closeFd,
  connectSocket,
  constants,
  encodeSocketAddress,
  errno,
  KernelError,
  openSocket,
  setSocketOption,
  sys,
} from "@loden/linux";
import { BATCH, createMessageMemory, type MessageMemory } from "./message-memory.ts";
import { addMoved, isStopped, type TrafficCells } from "./traffic-cells.ts";

/** An address (4 or 16 bytes) and a port. */
export interface Endpoint {
  readonly address: Uint8Array;
  readonly port: number;
}

const BUFFER_BYTES = 8 * 1024 * 1024;
const READ_BYTES = 128 * 1024;
// How soon a job that waits sees that it is to end.
const WAIT_MS = 20;

/** Connects to a sender as often as there are streams, and reads. */
export function receiveTcp(
  options: { readonly from: Endpoint; readonly at: Endpoint; readonly streams: number },
  cells: TrafficCells,
): void {
  const { from, at, streams } = options;
  const memory = createMessageMemory(READ_BYTES, true);
  const fds = Array.from({ length: streams }, () => connected(constants.SOCK_STREAM, 0, from, at));
  try {
    fds.forEach((fd, i) => memory.setPoll(i, fd, constants.POLLIN));
    while (!isStopped(cells)) {
      if (sys.poll(memory.pollFds, streams, WAIT_MS) <= 0) continue;
      for (let i = 0; i < streams; i++) {
        if (!memory.isReady(i)) continue;
        const bytes = sys.readv(fds[i] as number, memory.iovec, 1);
        if (bytes <= 0)
          throw new KernelError({ attempt: "read from the sender", syscall: "readv", errno: -bytes });
        addMoved(cells, bytes, 0);
      }
    }
  } finally {
    fds.forEach(closeFd);
  }
}

/** Sends datagrams in batches: as fast as it goes, or so many a second in bursts of a millisecond. */
export function sendUdp(
  options: { readonly to: Endpoint; readonly bytes: number; readonly perSecond: number | undefined },
  cells: TrafficCells,
): void {
  const { to, bytes, perSecond = Infinity } = options;
  const memory = createMessageMemory(bytes, true);
  const fd = connected(constants.SOCK_DGRAM | constants.SOCK_NONBLOCK, 0, to);
  grow(fd, constants.SO_SNDBUFFORCE);
  memory.setPoll(0, fd, constants.POLLOUT);
  let since = performance.now();
  let owed = 0;
  while (!isStopped(cells)) {
    const now = performance.now();
    // What a busy machine kept it from sending stays unsent: a burst that makes up for it would be lost.
    owed = Math.min(BATCH, owed + ((now - since) / 1000) * perSecond);
    since = now;
    if (owed < 1) {
      sys.poll(memory.pollFds, 0, 1);
      continue;
    }
    const result = sys.sendmmsg(fd, memory.messages, Math.floor(owed), 0);
    if (result > 0) {
      owed -= result;
      addMoved(cells, result * bytes, result);
    } else if (result === -errno.EAGAIN) sys.poll(memory.pollFds, 1, WAIT_MS);
  }
  closeFd(fd);
}

/** Receives datagrams in batches and counts them. */
export function receiveUdp({ at }: { readonly at: Endpoint }, cells: TrafficCells): void {
  const memory = createMessageMemory(2048, false);
  const fd = openSocket(domainOf(at), constants.SOCK_DGRAM | constants.SOCK_NONBLOCK);
  grow(fd, constants.SO_RCVBUFFORCE);
  bindSocket(fd, encodeSocketAddress(at.address, at.port));
  memory.setPoll(0, fd, constants.POLLIN);
  while (!isStopped(cells)) {
    const count = sys.recvmmsg(fd, memory.messages, BATCH, 0);
    if (count <= 0) sys.poll(memory.pollFds, 1, WAIT_MS);
    let bytes = 0;
    for (let i = 0; i < count; i++) bytes += memory.messageLength(i);
    if (count > 0) addMoved(cells, bytes, count);
  }
  closeFd(fd);
}

/** ICMP echo requests, one after the other, each as soon as the answer to the one before is there: the kernel answers, so that only the path varies. */
export function ping(
  options: { readonly to: Endpoint; readonly count: number; readonly atMostMs: number },
  cells: TrafficCells,
): Float64Array {
  const { to, count, atMostMs } = options;
  const memory = createMessageMemory(ECHO_BYTES, true);
  const replies = createMessageMemory(2048, true);
  const echo = to.address.length === 4 ? ECHO_IPV4 : ECHO_IPV6;
  const fd = connected(constants.SOCK_RAW | constants.SOCK_NONBLOCK, echo.protocol, to);
  replies.setPoll(0, fd, constants.POLLIN);
  const end = performance.now() + atMostMs;
  const samples: number[] = [];
  for (let sequence = 0; samples.length < count && performance.now() < end && !isStopped(cells); sequence++) {
    writeEcho(memory, echo.request, sequence & 0xffff);
    const started = performance.now();
    if (sys.writev(fd, memory.iovec, 1) < 0) continue;
    if (awaitReply(fd, replies, echo, sequence & 0xffff)) samples.push((performance.now() - started) * 1000);
  }
  closeFd(fd);
  return Float64Array.from(samples);
}

/** Protocol and types of an echo, and the least bytes that are read with a reply: the header is before one of IPv4. */
interface Echo {
  readonly protocol: number;
  readonly request: number;
  readonly reply: number;
  readonly least: number;
}
const ECHO_IPV4: Echo = { protocol: 1, request: 8, reply: 0, least: 28 };
const ECHO_IPV6: Echo = { protocol: 58, request: 128, reply: 129, least: 8 };
const ECHO_BYTES = 64;
const IDENTIFIER = 0x4c44;

/** RFC 792 and 4443: type, code 0, checksum (the kernel makes that of ICMPv6), identifier, sequence; the rest is zeros. */
function writeEcho({ data }: MessageMemory, request: number, sequence: number): void {
  data.setUint16(0, request << 8);
  const sum = (request << 8) + IDENTIFIER + sequence;
  data.setUint16(2, ~((sum & 0xffff) + (sum >>> 16)) & 0xffff);
  data.setUint16(4, IDENTIFIER);
  data.setUint16(6, sequence);
}

/** False when nothing came within 100 ms: it was lost. */
function awaitReply(fd: number, replies: MessageMemory, echo: Echo, sequence: number): boolean {
  const { data } = replies;
  for (;;) {
    if (sys.poll(replies.pollFds, 1, 100) <= 0) return false;
    if (sys.readv(fd, replies.iovec, 1) < echo.least) continue;
    const icmp = echo === ECHO_IPV4 ? (data.getUint8(0) & 15) * 4 : 0;
    const ours = data.getUint8(icmp) === echo.reply && data.getUint16(icmp + 4) === IDENTIFIER;
    if (ours && data.getUint16(icmp + 6) === sequence) return true;
  }
}

function connected(type: number, protocol: number, to: Endpoint, at?: Endpoint): number {
  const fd = openSocket(domainOf(to), type, protocol);
  if (at !== undefined) bindSocket(fd, encodeSocketAddress(at.address, at.port));
  connectSocket(fd, encodeSocketAddress(to.address, to.port));
  return fd;
}

function domainOf({ address }: Endpoint): number {
  return address.length === 4 ? constants.AF_INET : constants.AF_INET6;
}

/** In a user namespace the default has to do. */
function grow(fd: number, option: number): void {
  try {
    setSocketOption(fd, constants.SOL_SOCKET, option, BUFFER_BYTES);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
}
