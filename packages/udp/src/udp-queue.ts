import type { PacketBatch } from "@loden/packet";

/** Batches of datagrams of one UDP socket. */
export interface UdpQueue {
  /**
   * Receives the datagrams that are there, with one system call. Never waits. Where the socket receives trains, one slot of the batch
   * brings many datagrams of one size, and each becomes a packet of the batch.
   *
   * Sets the batch's `count`, and for each datagram its offset (the start of its slot, but for trains), its length, no peer, the sender's address in
   * `endpoints`, and its verdict: pass, or `Verdict.badLength` when it was longer than a slot and was cut. What the batch held before is
   * gone. An error that an earlier datagram of ours caused (`ECONNREFUSED` and the like, from an ICMP message) does not stop the receiving;
   * it is counted in `pendingErrors`.
   *
   * @param batch takes the datagrams; its receiving scratch is overwritten, and must be left alone between calls.
   * @returns how many datagrams it took, 0 when there are none now; or `-errno` when the socket can't be used.
   */
  receive(batch: PacketBatch): number;
  /** Whether the last `receive` left nothing behind: it is worth receiving again only when the descriptor becomes readable. */
  readonly drained: boolean;
  /**
   * Sends the packets of a batch whose verdict is pass, each to its `endpoints[i]`, with one system call where none fails. Unfinished
   * packets are finished and super-packets cut.
   *
   * When the socket's buffer is full this waits once, for at most 10 ms. A packet that does not go gets `Verdict.tooBig` when the kernel says
   * so (`EMSGSIZE`), otherwise `Verdict.sendFailed`: no endpoint, no route, no room in time; on a socket with `hearErrors`, no room in the
   * device's queue (`ENOBUFS`, which other sockets are not told). The others still go.
   *
   * @param batch the packets; its sending scratch is overwritten.
   * @returns how many packets the kernel took, as they go on the wire.
   */
  send(batch: PacketBatch): number;
  /**
   * Sends the segments of a batch, as `segmentPackets` left them, in the same way as `send`. A packet of which one segment fails counts
   * as failed. Every packet must have an endpoint.
   *
   * @param batch the segments; its sending scratch is overwritten.
   * @param from the first segment to send; 0 by default.
   * @param end the segment to stop before; all are sent by default.
   * @returns how many segments the kernel took.
   */
  sendSegments(batch: PacketBatch, from?: number, end?: number): number;
  /**
   * Takes what the network answered to datagrams of ours, on a socket with `hearErrors`, with one system call. Never waits.
   *
   * Sets the batch as `receive` does, with the beginning of each datagram that was answered, as far as the answer quotes it (nothing at
   * all, often over IPv4), and its destination in `endpoints`. Its verdict is pass where a router found the datagram too long for the path
   * (the kernel knows the path's MTU from then on), `Verdict.sendFailed` where the answer was another, or the kernel's own and so already
   * told by sending.
   *
   * @param batch takes the datagrams; its receiving scratch is overwritten.
   * @returns how many there were, 0 for none.
   */
  receiveErrors(batch: PacketBatch): number;
  /** Whether sending or receiving met an error that `receiveErrors` may tell more about. */
  readonly hasErrors: boolean;
  /** How many datagrams go into one message; falls to 1 when the kernel turns out not to cut for this socket's device. */
  readonly segmentsPerSend: number;
  /** How many errors of earlier datagrams were met and passed over while receiving. */
  readonly pendingErrors: number;
}
