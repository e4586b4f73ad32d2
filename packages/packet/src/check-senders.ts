import type { PacketBatch } from "./packet-batch.ts";
import { innerAddress } from "./inner-address.ts";
import { socketAddress } from "./peer-record.ts";
import type { PeerTable } from "./peer-table.ts";
import { Verdict } from "./verdict.ts";

/**
 * Whom datagrams are accepted from: `strict`, only from the endpoint of the peer whose subnet holds the inner source;
 * `any`, from everywhere, as long as the inner source lies in some peer's subnet (a flannel host behind NAT sends from
 * another address than it publishes).
 */
export type PeerSource = "strict" | "any";

/**
 * Stage: drops datagrams that no peer may have sent. The outer source must be a peer's endpoint address (any port), else
 * `unknownSender`; the inner source must lie in a subnet of that very peer, else `foreignSource`.
 *
 * With `any` the outer source isn't looked at, and the inner source must lie in some peer's subnet.
 *
 * The endpoint of a packet that passes becomes the one where its peer is reached (the peer may send from any port), so that
 * answers find their way; the endpoint of a dropped packet stays the outer source.
 *
 * @param batch packets checked by `checkPackets`, with `endpoints` of their outer sources; `peers`, `endpoints` and
 *   `verdicts` change. The new endpoints point into peer records and hold until `leave`.
 * @param peers the peer table; the caller is between `enter` and `leave` of its queue.
 * @param peerSource whom to accept datagrams from.
 */
export function checkSenders(batch: PacketBatch, peers: PeerTable, peerSource: PeerSource): void {
  const { count, verdicts, endpoints, view } = batch;
  for (let i = 0; i < count; i++) {
    if (verdicts[i] !== Verdict.pass) continue;
    const record = peers.find(innerAddress(batch, i, "source"));
    const sender = socketAddress(view, endpoints[i] ?? 0);
    if (record >= 0 && (peerSource === "any" || sender === peers.endpointAddress(record))) {
      batch.peers[i] = record;
      endpoints[i] = peers.sockaddrOffset(record);
      continue;
    }
    batch.peers[i] = -1;
    if (peerSource === "any") verdicts[i] = Verdict.foreignSource;
    else
      verdicts[i] =
        sender !== undefined && peers.hasEndpoint(sender) ? Verdict.foreignSource : Verdict.unknownSender;
  }
}
