import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { type Address, parseAddress } from "@loden/ip";
import { checkPort } from "./check-port.ts";
import { DatagramQueue, DatagramReader } from "./datagram-queue.ts";
import type { PortableUdpSocket } from "./portable-udp-socket.ts";

/** Settings of {@link openPortableUdpSocket}. */
export interface OpenPortableUdpSocketOptions {
  /** The local address, or `0.0.0.0` or `::` for all of one family. */
  readonly address: Address;
  /** The local port; 0 lets the system choose. */
  readonly port: number;
  /** Gives up opening. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens a UDP socket through `node:dgram`: for systems without native calls, and for programs that handle a few datagrams only. It knows
 * no network namespaces and no batches: {@linkcode openUdpSocket} does. An IPv6 socket takes IPv6 alone, `::` included.
 *
 * @param options where it is bound.
 * @returns the socket; the caller closes it.
 * @throws {RangeError} for a port that is none.
 * @throws {Error} as `node:dgram` reports it, with `code` `EADDRINUSE` or `EADDRNOTAVAIL`.
 */
export async function openPortableUdpSocket(
  options: OpenPortableUdpSocketOptions,
): Promise<PortableUdpSocket> {
  const { address, port, signal } = options;
  checkPort(port);
  signal?.throwIfAborted();
  const socket = createSocket(address.family === 4 ? { type: "udp4" } : { type: "udp6", ipv6Only: true });
  try {
    await bind(socket, address, port);
    signal?.throwIfAborted();
  } catch (error) {
    socket.close();
    throw error;
  }
  return portableSocketOf(socket);
}

async function bind(socket: Socket, address: Address, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.bind({ address: address.toString(), port, exclusive: true }, () => {
      socket.off("error", reject);
      resolve();
    });
  });
}

function portableSocketOf(socket: Socket): PortableUdpSocket {
  const queue = new DatagramQueue();
  const { address, port } = socket.address();
  let errors = 0;
  let closing: Promise<void> | undefined;
  socket.on("error", () => (errors += 1));
  socket.on("message", (data, from) => queue.add({ data, address: addressOfSender(from), port: from.port }));
  const close = (): Promise<void> => {
    closing ??= new Promise((resolve) => socket.close(resolve));
    queue.close();
    return closing;
  };
  return {
    address: parseAddress(address),
    port,
    get stats() {
      return { overrun: queue.overrun, errors };
    },
    datagrams: (options) => new DatagramReader(queue, options?.signal),
    async send(data, to, options) {
      options?.signal?.throwIfAborted();
      if (closing !== undefined)
        throw new TypeError("Cannot send a datagram: the socket is closed, expected an open one");
      await new Promise<void>((resolve, reject) => {
        socket.send(data, to.port, to.address.toString(), (error) =>
          error === null ? resolve() : reject(error),
        );
      });
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

// A link-local IPv6 address comes with its device: fe80::1%eth0.
function addressOfSender(from: RemoteInfo): Address {
  return parseAddress(from.address.replace(/%.*$/, ""));
}
