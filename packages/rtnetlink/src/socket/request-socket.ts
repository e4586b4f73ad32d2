import { closeFd, constants, errno, KernelError, receiveFrom, sendTo, setSocketOption } from "@loden/linux";
import {
  decodeMessages,
  decodeStatus,
  encodeMessages,
  MessageFlag,
  MessageType,
  type NetlinkMessage,
  type NetlinkStatus,
} from "@loden/netlink";
import type { Netns } from "@loden/netns";
import { setImmediate } from "node:timers/promises";
import { enableNetlinkOption, NetlinkOption, openNetlinkSocket, RECEIVE_BYTES } from "./netlink-socket.ts";

/** One message to send, and what it is for in words ("add route 10.1.0.0/16"), asked for only when it fails. */
export interface Request {
  readonly type: number;
  /** Besides request and acknowledge. */
  readonly flags?: number;
  readonly payload: Uint8Array;
  readonly attempt: () => string;
}

/** Messages per send: measured, more gains nothing. */
const BATCH = 32;
/** Batches between two turns of the event loop: about 3 ms of work. */
const BATCHES_PER_TURN = 16;
/** How often a dump is repeated when changes interrupt it. */
const DUMP_ATTEMPTS = 10;
/** The kernel answers within the send; seconds of silence mean that an answer was lost. */
const TIMEOUT_SECONDS = 10n;

const SO_RCVTIMEO = 20;

/**
 * The socket for requests. The kernel handles a request within the send and the answers wait in the socket, so exchanges
 * are synchronous and never overlap; only long batches give the event loop a turn in between.
 */
export class RequestSocket {
  readonly #fd: number;
  readonly #buffer = new Uint8Array(RECEIVE_BYTES);
  #sequence = 0;
  /** Address of the socket, by which notifications name who made a change; 0 before the first answer. */
  portId = 0;
  #closed = false;

  constructor(netns: Netns | undefined) {
    this.#fd = openNetlinkSocket(netns, constants.SOCK_RAW, 0);
    enableNetlinkOption(this.#fd, NetlinkOption.capAck);
    enableNetlinkOption(this.#fd, NetlinkOption.extendedAck);
    enableNetlinkOption(this.#fd, NetlinkOption.strictCheck);
    setSocketOption(
      this.#fd,
      constants.SOL_SOCKET,
      SO_RCVTIMEO,
      new Uint8Array(new BigInt64Array([TIMEOUT_SECONDS, 0n]).buffer),
    );
  }

  /** Sends one request and throws when the kernel refuses it. */
  request(request: Request): void {
    const error = this.#exchange([request])[0];
    if (error) throw error;
  }

  /** Sends one get request and returns what `read` makes of its answer, `undefined` when there was none. */
  get<T>(request: Request, read: (message: NetlinkMessage) => T): T | undefined {
    let result: T | undefined;
    const error = this.#exchange([request], (message) => {
      result = read(message);
    })[0];
    if (error) throw error;
    return result;
  }

  /**
   * Sends requests in batches, all of them whether or not some fail.
   *
   * @returns For each request the error that it met, in order; `undefined` when the kernel carried it out.
   */
  async change(requests: readonly Request[], signal?: AbortSignal): Promise<(KernelError | undefined)[]> {
    const errors: (KernelError | undefined)[] = [];
    for (let start = 0; start < requests.length; start += BATCH) {
      signal?.throwIfAborted();
      errors.push(...this.#exchange(requests.slice(start, start + BATCH)));
      if (start > 0 && (start / BATCH) % BATCHES_PER_TURN === 0) await setImmediate();
    }
    return errors;
  }

  /**
   * Asks for a whole list. A dump that a change interrupted is asked for again, so that the list is one state.
   *
   * @param read Makes a value of each message at once (its bytes are borrowed); `undefined` leaves it out.
   */
  dump<T>(request: Request, read: (message: NetlinkMessage) => T | undefined): T[] {
    for (let attempt = 1; ; attempt++) {
      const values = this.#dumpOnce(request, read);
      if (values !== undefined) return values;
      if (attempt === DUMP_ATTEMPTS)
        throw kernelError(request, { errno: errno.EINTR, detail: "changes kept interrupting the dump" });
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeFd(this.#fd);
  }

  /**
   * Sends requests in one datagram and waits for the answer to the last. The kernel works them off in order and answers the
   * others only when it refuses them.
   */
  #exchange(
    requests: readonly Request[],
    visit?: (message: NetlinkMessage) => void,
  ): (KernelError | undefined)[] {
    const last = requests.length - 1;
    const first = this.#send(requests, (index) => (index === last ? MessageFlag.acknowledge : 0));
    const errors: (KernelError | undefined)[] = Array.from({ length: requests.length });
    for (;;) {
      for (const message of this.#receive(requests[0]!)) {
        const index = (message.sequence - first) >>> 0;
        if (index > last) continue; // an answer to an earlier exchange that failed half way
        if (message.type !== MessageType.error) {
          visit?.(message);
          continue;
        }
        const status = decodeStatus(message);
        if (status.errno !== 0) errors[index] = kernelError(requests[index]!, status);
        if (index === last) return errors;
      }
    }
  }

  /** One dump; `undefined` when it was interrupted. Reads to its end even after a failure: the socket has one at a time. */
  #dumpOnce<T>(request: Request, read: (message: NetlinkMessage) => T | undefined): T[] | undefined {
    const sequence = this.#send([request], () => MessageFlag.dump);
    const values: T[] = [];
    let interrupted = false;
    let failure: unknown;
    for (;;) {
      for (const message of this.#receive(request)) {
        if (message.sequence !== sequence) continue;
        if (message.flags & MessageFlag.dumpInterrupted) interrupted = true;
        if (message.type === MessageType.done || message.type === MessageType.error) {
          const status = decodeStatus(message);
          if (status.errno !== 0) throw kernelError(request, status);
          if (failure !== undefined) throw failure;
          return interrupted ? undefined : values;
        }
        if (failure !== undefined) continue;
        try {
          const value = read(message);
          if (value !== undefined) values.push(value);
        } catch (error) {
          failure = error;
        }
      }
    }
  }

  /** Sends requests as one datagram and returns the sequence number of the first. */
  #send(requests: readonly Request[], flags: (index: number) => number): number {
    if (this.#closed) throw new Error(`Cannot ${requests[0]!.attempt()}: the rtnetlink connection is closed`);
    const first = (this.#sequence + 1) >>> 0;
    const bytes = encodeMessages(
      requests.map((request, index) => ({
        type: request.type,
        flags: (request.flags ?? 0) | MessageFlag.request | flags(index),
        sequence: (first + index) >>> 0,
        portId: 0,
        payload: request.payload,
      })),
    );
    this.#sequence = (first + requests.length - 1) >>> 0;
    const sent = sendTo(this.#fd, bytes);
    if (sent === undefined) throw kernelError(requests[0]!, { errno: errno.EAGAIN });
    return first;
  }

  #receive(request: Request): NetlinkMessage[] {
    const received = receiveFrom(this.#fd, this.#buffer, constants.MSG_TRUNC);
    if (received === undefined) throw kernelError(request, { errno: errno.ETIMEDOUT });
    if (received.length > this.#buffer.length) throw kernelError(request, { errno: errno.EMSGSIZE });
    const messages = decodeMessages(this.#buffer.subarray(0, received.length));
    this.portId = messages[0]?.portId ?? this.portId;
    return messages;
  }
}

/** The kernel's refusal of one request as an error that names the object. */
export function kernelError(request: Pick<Request, "attempt">, status: NetlinkStatus): KernelError {
  return new KernelError({
    attempt: request.attempt(),
    syscall: "netlink",
    errno: status.errno,
    detail: status.detail,
  });
}
