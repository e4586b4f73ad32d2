import { innerAddress } from "./inner-address.ts";
import type { PacketBatch } from "./packet-batch.ts";
import type { PeerTable } from "./peer-table.ts";
import { Verdict } from "./verdict.ts";

/**
 * Stage: finds the peer for each packet by its inner destination, longest prefix first. Drops as `noRoute`.
 *
 * Runs before `decrementTtl`: a packet with TTL 1 and no route is answered with "net unreachable", as flannel does.
 *
 * @param batch packets checked by `checkPackets`; `peers`, `endpoints` and `verdicts` change. The endpoints point into
 *   peer records and hold until `leave`.
 * @param peers the peer table; the caller is between `enter` and `leave` of its queue.
 */
export function routeToPeers(batch: PacketBatch, peers: PeerTable): void {
  const { count, verdicts } = batch;
  for (let i = 0; i < count; i++) {
    if (verdicts[i] !== Verdict.pass) continue;
    const record = peers.find(innerAddress(batch, i, "destination"));
    batch.peers[i] = record;
    batch.endpoints[i] = record < 0 ? 0 : peers.sockaddrOffset(record);
    if (record < 0) verdicts[i] = Verdict.noRoute;
  }
}
