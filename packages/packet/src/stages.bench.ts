// What the outbound stages cost per packet with 65,536 peers against 1 peer, with uniformly random destinations.
import {
  checkPackets,
  checkSizes,
  countBatch,
  createPacketMemory,
  decrementTtl,
  encodeIpv4,
  type PacketMemory,
  type PacketQueue,
  routeToPeers,
} from "./index.ts";

/** Name on the command line. */
export const name = "stages";

const batch = 64;
const passesPerRound = 4000;
const manyPeers = 65_536;

/**
 * Runs interleaved rounds of three paths: 65,536 peers, 1 peer, and 1 peer once more (the A/A row).
 *
 * @param o.rounds how many rounds; each gives one ratio, and the result is their median.
 * @returns `stages65536/stages1`: cost per packet of all outbound stages; nanoseconds and the A/A spread as figures.
 */
export async function run(o: {
  rounds: number;
}): Promise<{ ratios: Record<string, number>; figures: Record<string, number> }> {
  const paths = [createPath(manyPeers), createPath(1), createPath(1)] as const;
  for (let warmUp = 0; warmUp < 3; warmUp++) for (const path of paths) measure(path);
  const rounds = Array.from({ length: Math.max(1, o.rounds) }, (_, round) => {
    const nanoseconds = [0, 0, 0];
    const order = round % 2 === 0 ? [0, 1, 2] : [2, 1, 0];
    for (const i of order) nanoseconds[i] = measure(paths[i as 0 | 1 | 2]);
    const [many = 0, one = 0, again = 0] = nanoseconds;
    return { many, one, ratio: many / one, same: again / one };
  });
  const same = rounds.map((round) => round.same).toSorted((a, b) => a - b);
  return {
    ratios: { "stages65536/stages1": median(rounds.map(({ ratio }) => ratio)) },
    figures: {
      "stages65536 ns/packet": median(rounds.map(({ many }) => many)),
      "stages1 ns/packet": median(rounds.map(({ one }) => one)),
      "A/A median": median(same),
      "A/A least": same[0] ?? 0,
      "A/A most": same.at(-1) ?? 0,
    },
  };
}

interface Path {
  readonly memory: PacketMemory;
  readonly queue: PacketQueue;
  readonly peers: number;
}

// All subnets of length 24 from 10.0.0.0 on.
function createPath(peers: number): Path {
  const memory = createPacketMemory({ batch, slotBytes: 2048, peers: manyPeers });
  const [queue] = memory.queues;
  if (queue === undefined) throw new TypeError("Cannot measure stages: the memory has no queue");
  for (let i = 0; i < peers; i++) {
    memory.peers.set({
      network: network(i),
      prefixLength: 24,
      endpointAddress: 0xc0a8_0000 + i,
      endpointPort: 8285,
    });
  }
  const packet = encodeIpv4({ source: 1, destination: 0, protocol: 17, payload: new Uint8Array(36) });
  for (let i = 0; i < batch; i++) queue.outbound.add(packet);
  return { memory, queue, peers };
}

// Nanoseconds per packet, the median of the passes: batches are filled outside the measured time, and a pass that was
// interrupted by another process doesn't count for more than one.
function measure({ memory, queue, peers }: Path): number {
  const { outbound, counters } = queue;
  const passes = new Float64Array(passesPerRound);
  for (let pass = 0; pass < passesPerRound; pass++) {
    for (let i = 0; i < batch; i++) {
      const at = outbound.offsets[i] ?? 0;
      memory.view.setUint32(at + 16, network(Math.floor(Math.random() * peers)) + 7, false);
      memory.bytes[at + 8] = 64;
      outbound.verdicts[i] = 0;
    }
    const start = performance.now();
    queue.enter();
    checkPackets(outbound);
    routeToPeers(outbound, memory.peers);
    checkSizes(outbound, 1472);
    decrementTtl(outbound);
    countBatch(outbound, counters, "outbound");
    queue.leave();
    passes[pass] = performance.now() - start;
  }
  return (median(passes) * 1e6) / batch;
}

function network(i: number): number {
  return (0x0a00_0000 + i * 256) >>> 0;
}

function median(values: readonly number[] | Float64Array): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? 0)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}
