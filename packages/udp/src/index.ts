/**
 * UDP sockets that send and receive datagrams in batches (`sendmmsg`, `recvmmsg`), in any network namespace; and a portable one over
 * `node:dgram` for where there are no native calls.
 *
 * @example Echo datagrams in batches
 * ```ts
 * import { parseAddress } from "@loden/ip";
 * import { watchReadable } from "@loden/linux";
 * import { createPacketMemory } from "@loden/packet";
 * import { createUdpQueue, openUdpSocket } from "@loden/udp";
 *
 * const memory = createPacketMemory();
 * const batch = memory.queues[0].inbound;
 * const socket = openUdpSocket({ address: parseAddress("127.0.0.1"), port: 7000 });
 * const queue = createUdpQueue(socket.fd, memory);
 * watchReadable(socket.fd, () => {
 *   while (queue.receive(batch) > 0) queue.send(batch);
 * });
 * ```
 *
 * @module
 */
export { createUdpQueue, type UdpQueueOptions } from "./create-udp-queue.ts";
export { openPortableUdpSocket, type OpenPortableUdpSocketOptions } from "./open-portable-udp-socket.ts";
export { openUdpSocket, type OpenUdpSocketOptions } from "./open-udp-socket.ts";
export type { Datagram, PortableUdpSocket, PortableUdpStats } from "./portable-udp-socket.ts";
export type { UdpQueue } from "./udp-queue.ts";
export type { UdpSocket } from "./udp-socket.ts";
