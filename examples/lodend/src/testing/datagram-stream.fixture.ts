import { parseAddress } from "@loden/ip";
import {
  bindSocket,
  closeFd,
  constants,
  encodeSocketAddress,
  KernelError,
  openSocket,
  receiveFrom,
  sendTo,
} from "@loden/linux";
import type { Netns } from "@loden/netns";

/** One end of a stream: an address that its namespace has. */
export interface StreamEnd {
  readonly netns: Netns;
  readonly address: string;
}

const port = 4001;
const anyPort = 0;
const everyMs = 5;

/** Numbered datagrams from one namespace to another, every 5 ms, until it is disposed of. */
export class DatagramStream implements Disposable {
  /** How many were sent. */
  sent = 0;
  /** Set it to send none for a while. */
  isPaused = false;
  readonly #missing = new Set<number>();
  readonly #target: Uint8Array;
  readonly #sender: number;
  readonly #receiver: number;
  readonly #timer: NodeJS.Timeout;
  readonly #buffer = new Uint8Array(64);

  constructor(from: StreamEnd, to: StreamEnd) {
    this.#target = addressOf(to, port);
    this.#sender = openBound(from, anyPort);
    this.#receiver = openBound(to, port);
    this.#timer = setInterval(() => this.#turn(), everyMs);
  }

  /**
   * The numbers that have not arrived.
   *
   * @param first the lowest that counts.
   * @param end the lowest that does not count any more.
   */
  missing(first: number, end: number): readonly number[] {
    this.#receive();
    return [...this.#missing].filter((number) => number >= first && number < end);
  }

  #turn(): void {
    if (this.isPaused) return this.#receive();
    const number = this.sent;
    const datagram = new Uint8Array(new Uint32Array([number]).buffer);
    // What the own socket has no room for was never sent; what finds no route is lost.
    if (this.#send(datagram)) {
      this.#missing.add(number);
      this.sent += 1;
    }
    this.#receive();
  }

  #send(datagram: Uint8Array): boolean {
    try {
      return sendTo(this.#sender, datagram, this.#target) !== undefined;
    } catch (error) {
      if (error instanceof KernelError) return true;
      throw error;
    }
  }

  #receive(): void {
    while (receiveFrom(this.#receiver, this.#buffer) !== undefined) {
      this.#missing.delete(new DataView(this.#buffer.buffer).getUint32(0, true));
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    closeFd(this.#sender);
    closeFd(this.#receiver);
  }
}

function openBound(end: StreamEnd, at: number): number {
  const type = constants.SOCK_DGRAM | constants.SOCK_NONBLOCK;
  const fd = end.netns.run(() => openSocket(constants.AF_INET, type));
  bindSocket(fd, addressOf(end, at));
  return fd;
}

function addressOf({ address }: StreamEnd, at: number): Uint8Array {
  return encodeSocketAddress(parseAddress(address).toBytes(), at);
}
