/**
 * The worker of the classic relay: one system call for each packet read and one for each packet written, nothing merged, nothing batched. It
 * sleeps and lingers as the first release did, so that a difference in round-trip time is not one of waiting.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { addressOf, constants, errno, sys, watchReadable } from "@loden/linux";
import { type ClassicPeer, createPeerLookup, decrementTtl, isInside, isPacket } from "./classic-packets.ts";

/** What the worker is started with. */
export interface RelayStart {
  readonly tunFd: number;
  readonly udpFd: number;
  /** Outer port of every peer. */
  readonly port: number;
  /** Own subnet: first address as a number, and the length of the prefix. */
  readonly network: number;
  readonly prefixLength: number;
  readonly mtu: number;
  readonly peers: readonly ClassicPeer[];
}

const LINGER_MS = 10;
const TURN_PACKETS = 64;
const TURNS_PER_BURST = 4096;
// Where things lie in the memory.
const POLL_FDS = 0;
const IOVEC = 64;
const MESSAGE = 128;
const NAME = 256;
const PACKET = 1024;
const PACKET_BYTES = 65_536;

const start = workerData as RelayStart;
const memory = new Uint8Array(new SharedArrayBuffer(PACKET + PACKET_BYTES));
const base = addressOf(memory);
// Made once: an address that is computed per call would be boxed.
const pollAddress = base + POLL_FDS;
const iovecAddress = base + IOVEC;
const messageAddress = base + MESSAGE;
const view = new DataView(memory.buffer);
const packet = new DataView(memory.buffer, PACKET);
const find = createPeerLookup(start.peers);
const endpoints = new Set(start.peers.map(({ endpoint }) => endpoint));
let dropped = 0;

prepare();
for (const fd of [start.tunFd, start.udpFd]) watchReadable(fd, burst);
parentPort?.postMessage("running");

function prepare(): void {
  setPointer(IOVEC, PACKET);
  setPointer(MESSAGE, NAME);
  setPointer(MESSAGE + 16, IOVEC);
  view.setUint32(MESSAGE + 24, 1, true);
  view.setUint16(NAME, constants.AF_INET, true);
  [start.tunFd, start.udpFd].forEach((fd, i) => {
    view.setInt32(POLL_FDS + i * 8, fd, true);
    view.setInt32(POLL_FDS + i * 8 + 4, constants.POLLIN, true);
  });
}

function setPointer(at: number, target: number): void {
  view.setBigUint64(at, BigInt(base + target), true);
}

function burst(): void {
  for (let turn = 0; turn < TURNS_PER_BURST; turn++) {
    if (passOutbound() + passInbound() > 0) continue;
    const ready = sys.poll(pollAddress, 2, LINGER_MS);
    if (ready <= 0 && ready !== -errno.EINTR) return;
  }
}

function passOutbound(): number {
  for (let count = 0; count < TURN_PACKETS; count++) {
    view.setUint32(IOVEC + 8, PACKET_BYTES, true);
    const length = sys.readv(start.tunFd, iovecAddress, 1);
    if (length < 0) return count;
    const peer = isPacket(packet, length) ? find(packet.getInt32(16)) : undefined;
    if (peer === undefined || length > start.mtu || !decrementTtl(packet)) dropped += 1;
    else send(peer.endpoint, length);
  }
  return TURN_PACKETS;
}

function passInbound(): number {
  for (let count = 0; count < TURN_PACKETS; count++) {
    view.setUint32(IOVEC + 8, PACKET_BYTES, true);
    view.setUint32(MESSAGE + 8, 16, true);
    // recvfrom with the arguments in memory: one message a call.
    if (sys.recvmmsg(start.udpFd, messageAddress, 1, constants.MSG_DONTWAIT) <= 0) return count;
    const length = view.getUint32(MESSAGE + 56, true);
    if (!isWelcome(length)) {
      dropped += 1;
      continue;
    }
    view.setUint32(IOVEC + 8, length, true);
    if (sys.writev(start.tunFd, iovecAddress, 1) < 0) dropped += 1;
  }
  return TURN_PACKETS;
}

/** The sender's endpoint outside and its subnet inside, our subnet as the destination, and time to live. */
function isWelcome(length: number): boolean {
  const sender = view.getInt32(NAME + 4);
  if (!endpoints.has(sender) || !isPacket(packet, length)) return false;
  if (find(packet.getInt32(12))?.endpoint !== sender) return false;
  return isInside(packet.getInt32(16), start.network, start.prefixLength) && decrementTtl(packet);
}

function send(endpoint: number, length: number): void {
  view.setUint32(MESSAGE + 8, 16, true);
  view.setUint16(NAME + 2, start.port);
  view.setInt32(NAME + 4, endpoint);
  view.setUint32(IOVEC + 8, length, true);
  // sendto with the arguments in memory: one message a call.
  let result = sys.sendmmsg(start.udpFd, messageAddress, 1, 0);
  if (result === -errno.EAGAIN) {
    sys.poll(pollAddress, 0, 1);
    result = sys.sendmmsg(start.udpFd, messageAddress, 1, 0);
  }
  if (result < 0) dropped += 1;
}
