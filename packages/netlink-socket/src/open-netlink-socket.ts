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
import { openNetlinkFd, type OpenNetlinkFdOptions } from "./open-netlink-fd.ts";

/** One message to send. */
export interface NetlinkRequest {
  /** Its number, which says what the payload is. */
  readonly type: number;
  /** Besides {@link MessageFlag}.request and those that sending adds. */
  readonly flags?: number | undefined;
  /** What follows the header; read while it is sent. */
  readonly payload: Uint8Array;
  /** What it is for, in words ("add route 10.1.0.0/16"), asked for only when it fails. */
  readonly attempt: () => string;
}

/** Options of {@link openNetlinkSocket}. */
export interface OpenNetlinkSocketOptions extends Pick<OpenNetlinkFdOptions, "protocol" | "netns"> {
  /** Let the kernel refuse attributes that it does not know, and filter dumps, where it can. Default false. */
  readonly strict?: boolean | undefined;
}

/**
 * A socket for requests. The kernel handles a request within the send and the answers wait in the socket, so exchanges are synchronous, and
 * a socket has one at a time. Once it is closed every method but `close` throws TypeError.
 */
export interface NetlinkSocket extends Disposable {
  /** Address of the socket, by which notifications name who made a change; 0 before the first answer. */
  readonly portId: number;
  /**
   * Sends requests as one datagram.
   *
   * @param requests One at least.
   * @param flags {@link MessageFlag} bits for each, by its index.
   * @returns The sequence number of the first; the others follow it.
   * @throws {KernelError} The kernel does not take them.
   */
  send(requests: readonly NetlinkRequest[], flags: (index: number) => number): number;
  /**
   * Waits for one datagram of answers, at most ten seconds.
   *
   * @param request Whom an error names.
   * @returns Its messages, whose bytes are borrowed until the next call.
   * @throws {KernelError} ETIMEDOUT when none came.
   */
  receive(request: NetlinkRequest): readonly NetlinkMessage[];
  /**
   * Takes one datagram of answers if it is there, as all of them are after a send.
   *
   * @param request Whom an error names.
   * @returns Its messages, as {@link NetlinkSocket.receive}; `undefined` when there is none.
   * @throws {KernelError} ENOBUFS when there were more than the socket could hold: those that it holds can be received still.
   */
  receiveNow(request: NetlinkRequest): readonly NetlinkMessage[] | undefined;
  /**
   * Asks for a whole list.
   *
   * @param request What to list.
   * @param read Makes a value of each message at once (its bytes are borrowed); `undefined` leaves it out.
   * @param interrupted What to do when changes came in between, so that the list may be no state that ever was: ask `again` up to ten
   * times (the default), or `take` it.
   * @throws {KernelError} The kernel refused, or EINTR: changes kept interrupting.
   */
  dump<T>(
    request: NetlinkRequest,
    read: (message: NetlinkMessage) => T | undefined,
    interrupted?: "again" | "take",
  ): T[];
  /** Makes room for a datagram of so many bytes to be sent. Needs CAP_NET_ADMIN. */
  reserve(bytes: number): void;
  /** Again does nothing. */
  close(): void;
}

/** Options of level SOL_NETLINK (linux/netlink.h). */
const NetlinkOption = { capAck: 10, extendedAck: 11, strictCheck: 12 } as const;
/** The kernel cuts dumps into pieces of at most 32 KiB; a single message can be a little larger. */
const RECEIVE_BYTES = 65_536;
/** How often a dump is repeated when changes interrupt it. */
const DUMP_ATTEMPTS = 10;
/** Seconds of silence mean that an answer was lost. */
const TIMEOUT_SECONDS = 10n;
const SO_RCVTIMEO = 20;

/**
 * Opens a socket for requests.
 *
 * @param options Which protocol and where.
 * @returns The socket; close it after use.
 * @throws {KernelError} EPROTONOSUPPORT when the kernel lacks the protocol.
 */
export function openNetlinkSocket(options: OpenNetlinkSocketOptions): NetlinkSocket {
  const { protocol, netns, strict = false } = options;
  const fd = openNetlinkFd({ protocol, netns });
  try {
    const { capAck, extendedAck, strictCheck } = NetlinkOption;
    for (const option of strict ? [capAck, extendedAck, strictCheck] : [capAck, extendedAck])
      enableOption(fd, option);
    const timeout = new Uint8Array(new BigInt64Array([TIMEOUT_SECONDS, 0n]).buffer);
    setSocketOption(fd, constants.SOL_SOCKET, SO_RCVTIMEO, timeout);
    return new FdSocket(fd);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

/**
 * Makes an error of the kernel's refusal.
 *
 * @param request What was refused.
 * @param status The kernel's answer.
 */
export function netlinkError(request: Pick<NetlinkRequest, "attempt">, status: NetlinkStatus): KernelError {
  const { errno: number, detail } = status;
  return new KernelError({ attempt: request.attempt(), syscall: "netlink", errno: number, detail });
}

/** Switches an option on where the kernel knows it; older kernels only explain less and filter nothing. */
function enableOption(fd: number, option: number): void {
  try {
    setSocketOption(fd, constants.SOL_NETLINK, option, 1);
  } catch (error) {
    if (!(error instanceof KernelError && error.errno === errno.ENOPROTOOPT)) throw error;
  }
}

class FdSocket implements NetlinkSocket {
  portId = 0;
  readonly #fd: number;
  readonly #buffer = new Uint8Array(RECEIVE_BYTES);
  #sequence = 0;
  #closed = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  send(requests: readonly NetlinkRequest[], flags: (index: number) => number): number {
    const fd = this.#open(requests[0]!.attempt);
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
    if (sendTo(fd, bytes) === undefined) throw netlinkError(requests[0]!, { errno: errno.EAGAIN });
    return first;
  }

  receive(request: NetlinkRequest): readonly NetlinkMessage[] {
    const messages = this.#receive(request, 0);
    if (messages === undefined) throw netlinkError(request, { errno: errno.ETIMEDOUT });
    return messages;
  }

  receiveNow(request: NetlinkRequest): readonly NetlinkMessage[] | undefined {
    return this.#receive(request, constants.MSG_DONTWAIT);
  }

  dump<T>(
    request: NetlinkRequest,
    read: (message: NetlinkMessage) => T | undefined,
    interrupted: "again" | "take" = "again",
  ): T[] {
    for (let attempt = 1; ; attempt++) {
      const { values, isInterrupted } = this.#dumpOnce(request, read);
      if (!isInterrupted || interrupted === "take") return values;
      if (attempt === DUMP_ATTEMPTS)
        throw netlinkError(request, { errno: errno.EINTR, detail: "changes kept interrupting the dump" });
    }
  }

  reserve(bytes: number): void {
    const fd = this.#open(() => `make room for ${bytes} bytes`);
    // The kernel counts about half of it for itself.
    setSocketOption(fd, constants.SOL_SOCKET, constants.SO_SNDBUFFORCE, bytes * 2);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeFd(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The descriptor, which after closing may be somebody else's. */
  #open(attempt: () => string): number {
    if (!this.#closed) return this.#fd;
    throw new TypeError(`Cannot ${attempt()}: the netlink socket is closed, expected an open one`);
  }

  #receive(request: NetlinkRequest, flags: number): readonly NetlinkMessage[] | undefined {
    const received = receiveFrom(this.#open(request.attempt), this.#buffer, flags | constants.MSG_TRUNC);
    if (received === undefined) return undefined;
    if (received.length > this.#buffer.length) throw netlinkError(request, { errno: errno.EMSGSIZE });
    const messages = decodeMessages(this.#buffer.subarray(0, received.length));
    this.portId = messages[0]?.portId ?? this.portId;
    return messages;
  }

  /** Reads to the dump's end even after a failure: the socket has one at a time. */
  #dumpOnce<T>(
    request: NetlinkRequest,
    read: (message: NetlinkMessage) => T | undefined,
  ): { values: T[]; isInterrupted: boolean } {
    const sequence = this.send([request], () => MessageFlag.dump);
    const values: T[] = [];
    let isInterrupted = false;
    let failure: unknown;
    for (;;) {
      for (const message of this.receive(request)) {
        if (message.sequence !== sequence) continue;
        if (message.flags & MessageFlag.dumpInterrupted) isInterrupted = true;
        if (message.type === MessageType.done || message.type === MessageType.error) {
          const status = decodeStatus(message);
          if (status.errno !== 0) throw netlinkError(request, status);
          if (failure !== undefined) throw failure;
          return { values, isInterrupted };
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
}
