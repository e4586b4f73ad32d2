import type { KernelError } from "@loden/linux";
import { decodeStatus, MessageFlag, MessageType, type NetlinkMessage } from "@loden/netlink";
import {
  netlinkError,
  type NetlinkRequest,
  type NetlinkSocket,
  openNetlinkSocket,
} from "@loden/netlink-socket";
import type { Netns } from "@loden/netns";
import { setImmediate } from "node:timers/promises";
import type { CallOptions } from "../call-options.ts";

/** Messages per send: measured, more gains nothing. */
const BATCH = 32;
/** Batches between two turns of the event loop: about 3 ms of work. */
const BATCHES_PER_TURN = 16;

/** What else {@link RequestSocket.sendMany} takes. */
export interface SendManyOptions extends CallOptions {
  /** Called after each batch. */
  readonly giveWay?: (() => void) | undefined;
  /** Called with each answer that is no status, and the place of its request; the message's bytes are borrowed. */
  readonly visit?: ((index: number, message: NetlinkMessage) => void) | undefined;
}

/** The socket for requests; only long batches give the event loop a turn in between. */
export class RequestSocket {
  readonly #socket: NetlinkSocket;

  constructor(netns: Netns | undefined) {
    this.#socket = openNetlinkSocket({ protocol: "route", netns, strict: true });
  }

  /** Address of the socket, by which notifications name who made a change; 0 before the first answer. */
  get portId(): number {
    return this.#socket.portId;
  }

  /** Sends one request and throws when the kernel refuses it. */
  request(request: NetlinkRequest): void {
    const error = this.#exchange([request])[0];
    if (error) throw error;
  }

  /** Sends one get request and returns what `read` makes of its answer, `undefined` when there was none. */
  get<T>(request: NetlinkRequest, read: (message: NetlinkMessage) => T): T | undefined {
    let result: T | undefined;
    const error = this.#exchange([request], (_, message) => {
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
  async sendMany(
    requests: readonly NetlinkRequest[],
    { signal, giveWay, visit }: SendManyOptions = {},
  ): Promise<(KernelError | undefined)[]> {
    const errors: (KernelError | undefined)[] = [];
    for (let start = 0; start < requests.length; start += BATCH) {
      signal?.throwIfAborted();
      const batch = requests.slice(start, start + BATCH);
      errors.push(...this.#exchange(batch, visit && ((index, message) => visit(start + index, message))));
      giveWay?.();
      if (start > 0 && (start / BATCH) % BATCHES_PER_TURN === 0) await setImmediate();
    }
    return errors;
  }

  /**
   * Asks for a whole list. A dump that a change interrupted is asked for again, so that the list is one state.
   *
   * @param read Makes a value of each message at once (its bytes are borrowed); `undefined` leaves it out.
   */
  dump<T>(request: NetlinkRequest, read: (message: NetlinkMessage) => T | undefined): T[] {
    return this.#socket.dump(request, read);
  }

  close(): void {
    this.#socket.close();
  }

  /**
   * Sends requests in one datagram and waits for the answer to the last. The kernel works them off in order and answers the
   * others only when it refuses them.
   */
  #exchange(
    requests: readonly NetlinkRequest[],
    visit?: (index: number, message: NetlinkMessage) => void,
  ): (KernelError | undefined)[] {
    const last = requests.length - 1;
    const first = this.#socket.send(requests, (index) => (index === last ? MessageFlag.acknowledge : 0));
    const errors: (KernelError | undefined)[] = Array.from({ length: requests.length });
    for (;;) {
      for (const message of this.#socket.receive(requests[0]!)) {
        const index = (message.sequence - first) >>> 0;
        if (index > last) continue; // an answer to an earlier exchange that failed half way
        if (message.type !== MessageType.error) {
          visit?.(index, message);
          continue;
        }
        const status = decodeStatus(message);
        if (status.errno !== 0) errors[index] = netlinkError(requests[index]!, status);
        if (index === last) return errors;
      }
    }
  }
}
