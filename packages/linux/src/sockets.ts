import { constants } from "./constants.ts";
import { unlessBlocked } from "./files.ts";
import { checked, libc } from "./libc.ts";

/**
 * Opens a socket, as `socket(2)` with `SOCK_CLOEXEC`, in the network namespace that the thread is in.
 *
 * @param domain `constants.AF_*`.
 * @param type `constants.SOCK_*`, with `SOCK_NONBLOCK` where wanted.
 * @param protocol the protocol's number, 0 for the usual one.
 * @returns the descriptor; the caller closes it with {@link closeFd}.
 * @throws {KernelError} as the kernel answers, e.g. `EPERM` for a raw socket without privilege.
 */
export function openSocket(domain: number, type: number, protocol: number = 0): number {
  return checked(libc().socket(domain, type | constants.SOCK_CLOEXEC, protocol), "socket", "open a socket");
}

/**
 * Binds a socket to a local address.
 *
 * @param fd the socket.
 * @param address a `struct sockaddr_*` (see {@link encodeSocketAddress}).
 * @param description the address in words, for the error's message.
 * @throws {KernelError} e.g. `EADDRINUSE`, `EADDRNOTAVAIL`.
 */
export function bindSocket(fd: number, address: Uint8Array, description: string = "its address"): void {
  checked(libc().bind(fd, address, address.length), "bind", `bind a socket to ${description}`);
}

/**
 * Connects a socket to a remote address.
 *
 * @param fd the socket.
 * @param address a `struct sockaddr_*`.
 * @param description the address in words, for the error's message.
 * @throws {KernelError} e.g. `ENETUNREACH`.
 */
export function connectSocket(fd: number, address: Uint8Array, description: string = "its address"): void {
  checked(libc().connect(fd, address, address.length), "connect", `connect a socket to ${description}`);
}

/**
 * Gives the local address of a socket.
 *
 * @param fd the socket.
 * @returns its `struct sockaddr_*`.
 * @throws {KernelError} `EBADF` when it is not open.
 */
export function getSocketName(fd: number): Uint8Array {
  const address = new Uint8Array(128);
  const length = lengthCell(address.length);
  checked(libc().getsockname(fd, address, length), "getsockname", "read a socket's address");
  return address.subarray(0, readLength(length));
}

/**
 * Sets a socket option.
 *
 * @param fd the socket.
 * @param level `constants.SOL_*`.
 * @param name the option's number.
 * @param value a number (as a C `int`) or the bytes of a structure.
 * @throws {KernelError} e.g. `ENOPROTOOPT` when the kernel does not know the option.
 */
export function setSocketOption(fd: number, level: number, name: number, value: number | Uint8Array): void {
  const bytes = typeof value === "number" ? new Uint8Array(new Int32Array([value]).buffer) : value;
  checked(
    libc().setsockopt(fd, level, name, bytes, bytes.length),
    "setsockopt",
    `set socket option ${name} of level ${level}`,
  );
}

/**
 * Reads a socket option that is a C `int`.
 *
 * @param fd the socket.
 * @param level `constants.SOL_*`.
 * @param name the option's number.
 * @returns its value.
 * @throws {KernelError} e.g. `ENOPROTOOPT`.
 */
export function getSocketOption(fd: number, level: number, name: number): number {
  const value = new Int32Array(1);
  checked(
    libc().getsockopt(fd, level, name, new Uint8Array(value.buffer), lengthCell(4)),
    "getsockopt",
    `read socket option ${name} of level ${level}`,
  );
  return value[0] as number;
}

/**
 * Sends one message, as `sendto(2)`.
 *
 * @param fd the socket.
 * @param data the message.
 * @param address a `struct sockaddr_*`; without one the socket must be connected.
 * @param flags `constants.MSG_*`.
 * @returns the number of bytes, or `undefined` where a non-blocking socket takes none now.
 * @throws {KernelError} e.g. `EMSGSIZE`.
 */
export function sendTo(
  fd: number,
  data: Uint8Array,
  address?: Uint8Array,
  flags: number = 0,
): number | undefined {
  return unlessBlocked("sendto", "send a message", () =>
    libc().sendto(fd, data, data.length, flags, address ?? null, address?.length ?? 0),
  );
}

/** One message as {@link receiveFrom} gives it. */
export interface ReceivedMessage {
  /** Its length in bytes; with `MSG_TRUNC` the true one, which may exceed the buffer. */
  readonly length: number;
  /** The sender's `struct sockaddr_*`, empty where there is none. */
  readonly address: Uint8Array;
}

/**
 * Receives one message, as `recvfrom(2)`.
 *
 * @param fd the socket.
 * @param buffer takes the message.
 * @param flags `constants.MSG_*`.
 * @returns the message's length and sender, or `undefined` where nothing is there on a non-blocking socket.
 * @throws {KernelError} e.g. `ENOBUFS` when a netlink socket overran.
 */
export function receiveFrom(fd: number, buffer: Uint8Array, flags: number = 0): ReceivedMessage | undefined {
  const address = new Uint8Array(128);
  const addressLength = lengthCell(address.length);
  const length = unlessBlocked("recvfrom", "receive a message", () =>
    libc().recvfrom(fd, buffer, buffer.length, flags, address, addressLength),
  );
  if (length === undefined) return undefined;
  return { length, address: address.subarray(0, readLength(addressLength)) };
}

function lengthCell(length: number): Uint8Array {
  return new Uint8Array(new Uint32Array([length]).buffer);
}

function readLength(cell: Uint8Array): number {
  return new DataView(cell.buffer).getUint32(0, true);
}
