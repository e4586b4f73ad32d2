/**
 * UDP sockets that send and receive datagrams in batches (`sendmmsg`, `recvmmsg`), in any network namespace.
 *
 * @module
 */
export { createUdpQueue } from "./create-udp-queue.ts";
export { openUdpSocket, type OpenUdpSocketOptions } from "./open-udp-socket.ts";
export type { UdpQueue } from "./udp-queue.ts";
export type { UdpSocket } from "./udp-socket.ts";
