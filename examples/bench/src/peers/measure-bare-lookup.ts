import {
  createPacketMemory,
  encodeIpv4,
  kernelsOf,
  type PacketMemory,
  type PacketQueue,
} from "@loden/packet";

const BATCH = 1024;
const PASSES = 200;

/** A peer table to look up in. */
export interface BareTable {
  readonly memory: PacketMemory;
  readonly queue: PacketQueue;
}

/**
 * Makes a table of peers that share the subnets of 10.0.0.0/8.
 *
 * @param peers how many: a power of two, at most 65,536.
 */
export function createBareTable(peers: number): BareTable {
  const memory = createPacketMemory({ batch: BATCH, slotBytes: 128, peers: 65_536 });
  const queue = memory.queues[0] as PacketQueue;
  const prefixLength = 8 + Math.log2(peers);
  for (let i = 0; i < peers; i++) {
    const network = 0x0a00_0000 + i * 2 ** (32 - prefixLength);
    memory.peers.set({ network, prefixLength, endpointAddress: 0xc612_0000 + i, endpointPort: 8285 });
  }
  const packet = encodeIpv4({ source: 1, destination: 0, protocol: 17, payload: new Uint8Array(8) });
  for (let i = 0; i < BATCH; i++) queue.outbound.add(packet);
  return { memory, queue };
}

/**
 * Measures the stage that looks peers up, with uniformly random destinations.
 *
 * @returns nanoseconds per packet, the median of many batches: one that was interrupted counts for no more than another.
 */
export function measureBareLookup({ memory, queue }: BareTable): number {
  const { outbound } = queue;
  const kernels = kernelsOf(memory);
  const passes = new Float64Array(PASSES);
  for (let pass = 0; pass < PASSES; pass++) {
    for (let i = 0; i < BATCH; i++) {
      const destination = 0x0a00_0007 + Math.floor(Math.random() * 65_536) * 256;
      memory.view.setUint32((outbound.offsets[i] ?? 0) + 16, destination);
      outbound.verdicts[i] = 0;
    }
    const start = performance.now();
    kernels.routeToPeers(outbound, memory.peers);
    passes[pass] = performance.now() - start;
  }
  return ((passes.toSorted()[PASSES >> 1] ?? Number.NaN) * 1e6) / BATCH;
}
