import type { Address } from "@loden/ip";

/** One datagram with where it came from. */
export interface Datagram {
  /** What it carries; the receiver's own. */
  readonly data: Uint8Array;
  /** The sender's address. */
  readonly address: Address;
  /** The sender's port. */
  readonly port: number;
}

/** What a {@link PortableUdpSocket} counts, since it was opened. */
export interface PortableUdpStats {
  /** Datagrams that were thrown away because the reader was too slow. */
  readonly overrun: number;
  /** Errors of the socket that no call of ours could be blamed for, e.g. `ECONNREFUSED` from an ICMP message. */
  readonly errors: number;
}

/** A UDP socket over `node:dgram`: one promise per datagram, and no native code. */
export interface PortableUdpSocket extends AsyncDisposable {
  /** The local address that it is bound to. */
  readonly address: Address;
  /** The local port: the system's choice where 0 was asked for. */
  readonly port: number;
  /** What was counted so far. */
  readonly stats: PortableUdpStats;
  /**
   * Receives datagrams. At most 256 wait for the reader, from the moment the socket is open; while that many wait, newer ones are dropped
   * and counted. Iteration ends when the socket is closed. `break` ends it quietly, and it can be started again.
   * @param options `signal` ends the iteration with its reason.
   * @returns the datagrams.
   * @throws {TypeError} at the first step, when another iteration is under way.
   */
  datagrams(options?: {
    readonly signal?: AbortSignal | undefined;
  }): AsyncIterableIterator<Datagram, undefined>;
  /**
   * Sends one datagram. The bytes must not change until the promise is settled.
   * @param data what it carries.
   * @param to where it goes.
   * @param options `signal` keeps it from being sent once aborted.
   * @throws {TypeError} when the socket is closed.
   * @throws {Error} as `node:dgram` reports it, e.g. `EMSGSIZE`.
   */
  send(
    data: Uint8Array,
    to: { readonly address: Address; readonly port: number },
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<void>;
  /** Closes the socket and ends its iteration; again does nothing. */
  close(): Promise<void>;
}
