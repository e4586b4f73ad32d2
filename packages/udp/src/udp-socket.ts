import type { Address } from "@loden/ip";

/** A UDP socket that is open and bound; {@linkcode createUdpQueue} moves datagrams through its descriptor. */
export interface UdpSocket extends Disposable {
  /** The descriptor, non-blocking. Owned by this object: only {@linkcode UdpSocket.close} may close it. */
  readonly fd: number;
  /** The local address that it is bound to. */
  readonly address: Address;
  /** The local port: the kernel's choice where 0 was asked for. */
  readonly port: number;
  /** The receive buffer that the kernel granted, in bytes; what it accounts against this is larger than the datagrams themselves. */
  readonly receiveBufferBytes: number;
  /** The send buffer that the kernel granted, in bytes. */
  readonly sendBufferBytes: number;
  /**
   * How many datagrams of one size the kernel cuts out of one message (UDP_SEGMENT), for {@linkcode createUdpQueue}; 1 when the socket
   * was opened without `offload`, or when a test at its opening found that the kernel does not, or not rightly.
   */
  readonly segmentsPerSend: number;
  /** Whether datagrams of one size and sender may be received as trains (UDP_GRO). */
  readonly receivesTrains: boolean;
  /** Closes the socket; again does nothing. */
  close(): void;
}
