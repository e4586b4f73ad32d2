import * as fc from "fast-check";
import { expect, test } from "vitest";
import { checkDestinations } from "./check-destinations.ts";
import { checkPackets } from "./check-packets.ts";
import { checkSenders } from "./check-senders.ts";
import { checkSizes } from "./check-sizes.ts";
import { countBatch } from "./count-batch.ts";
import { decrementTtl } from "./decrement-ttl.ts";
import { kernelsOf } from "./kernels.ts";
import { createPacketMemory, type PacketMemory } from "./packet-memory.ts";
import type { PacketQueue } from "./packet-queue.ts";
import { routeToPeers } from "./route-to-peers.ts";

const batch = 8;
const make = (): { memory: PacketMemory; queue: PacketQueue } => {
  const memory = createPacketMemory({ batch, slotBytes: 256, peers: 64 });
  for (const [network, prefixLength, endpointAddress] of peers) {
    memory.peers.set({ network, prefixLength, endpointAddress, endpointPort: 8285 });
  }
  memory.local.set({ network: 0x0a05_0100, prefixLength: 24, address: 0x0a05_0100, mtu: 100 });
  return { memory, queue: memory.queues[0] as PacketQueue };
};
const peers = [
  [0x0a05_0200, 24, 0xc000_0202],
  [0x0a05_0300, 24, 0xc000_0203],
  [0x0a05_0380, 25, 0xc000_0204],
  [0x0a05_03ff, 32, 0xc000_0205],
  [0x0a06_0000, 16, 0xc000_0202],
] as const;
const model = make();
const kernel = make();

const address = fc.oneof(
  fc.constantFrom(0x0a05_0101, 0x0a05_0201, 0x0a05_0301, 0x0a05_0390, 0x0a05_03ff, 0x0a06_1234, 0x0b00_0001),
  fc.nat(0xffff_ffff),
);
const packet = fc.record({
  bytes: fc.uint8Array({ maxLength: 120 }),
  looksRight: fc.boolean(),
  first: fc.constantFrom(0x45, 0x45, 0x46, 0x4f, 0x41, 0x60),
  ttl: fc.constantFrom(0, 1, 2, 64, 255),
  source: address,
  destination: address,
  sender: fc.constantFrom(0, 0xc000_0202, 0xc000_0203, 0xc000_0204, 0xc000_0209),
  senderFamily: fc.constantFrom(2, 10),
  verdict: fc.constantFrom(0, 0, 0, 5),
  virtio: fc.option(fc.uint8Array({ minLength: 10, maxLength: 10 }), { nil: undefined }),
  looksSuper: fc.boolean(),
});
type Drawn = typeof packet extends fc.Arbitrary<infer T> ? T : never;

function fill({ queue }: { queue: PacketQueue }, packets: readonly Drawn[]): void {
  for (const target of [queue.outbound, queue.inbound]) {
    target.count = 0;
    for (const drawn of packets) {
      const i = target.add(shape(drawn));
      const name = target.namesOffset + 32 * i;
      target.view.setUint16(name, drawn.senderFamily, true);
      target.view.setUint32(name + 4, drawn.sender);
      target.endpoints[i] = drawn.sender === 0 ? 0 : name;
      target.verdicts[i] = drawn.verdict;
      if (drawn.virtio === undefined) continue;
      const header = drawn.virtio.slice();
      if (drawn.looksSuper) header.set([1, 1, 0, 0, 50, 0, 20, 0, 16, 0]);
      target.bytes.set(header, target.slot(i) - 10);
      target.virtio[i] = target.slot(i) - 10;
      target.parts[i] = header[2] ?? 0;
      target.wireBytes[i] = header[3] ?? 0;
    }
  }
}

function shape(drawn: Drawn): Uint8Array {
  const bytes = drawn.bytes.slice();
  if (!drawn.looksRight || bytes.length < 20) return bytes;
  const view = new DataView(bytes.buffer);
  bytes[0] = drawn.first;
  bytes[8] = drawn.ttl;
  view.setUint16(2, bytes.length);
  view.setUint32(12, drawn.source);
  view.setUint32(16, drawn.destination);
  return bytes;
}

/** Everything that stages may change; what holds offsets is the same in both memories. */
function state({ memory, queue }: { memory: PacketMemory; queue: PacketQueue }): unknown {
  return [queue.outbound, queue.inbound].map((own) => ({
    verdicts: [...own.verdicts.subarray(0, own.count)],
    records: [...own.peers.subarray(0, own.count)],
    endpoints: [...own.endpoints.subarray(0, own.count)],
    bytes: Buffer.from(memory.bytes.slice(own.slot(0), own.slot(batch))).toString("hex"),
    counters: [...queue.counters.outbound, ...queue.counters.inbound],
  }));
}

test("each stage of the kernels does what the function of its name does, with any packets", () => {
  const kernels = kernelsOf(kernel.memory);
  const stages: [
    string,
    (made: { memory: PacketMemory; queue: PacketQueue }) => unknown,
    (made: { memory: PacketMemory; queue: PacketQueue }) => unknown,
  ][] = [
    [
      "checkPackets",
      ({ queue }) => checkPackets(queue.outbound),
      ({ queue }) => kernels.checkPackets(queue.outbound),
    ],
    [
      "checkPackets",
      ({ queue }) => checkPackets(queue.inbound),
      ({ queue }) => kernels.checkPackets(queue.inbound),
    ],
    [
      "routeToPeers",
      ({ queue, memory }) => routeToPeers(queue.outbound, memory.peers),
      ({ queue, memory }) => kernels.routeToPeers(queue.outbound, memory.peers),
    ],
    [
      "checkSizes",
      ({ queue }) => checkSizes(queue.outbound, 60),
      ({ queue }) => kernels.checkSizes(queue.outbound, 60),
    ],
    [
      "decrementTtl",
      ({ queue }) => decrementTtl(queue.outbound),
      ({ queue }) => kernels.decrementTtl(queue.outbound),
    ],
    [
      "countBatch",
      ({ queue }) => countBatch(queue.outbound, queue.counters, "outbound"),
      ({ queue }) => kernels.countBatch(queue.outbound, queue.counters, "outbound"),
    ],
    ...(["strict", "any"] as const).map((source): (typeof stages)[number] => [
      "checkSenders",
      ({ queue, memory }) => checkSenders(queue.inbound, memory.peers, source),
      ({ queue, memory }) => kernels.checkSenders(queue.inbound, memory.peers, source),
    ]),
    [
      "checkDestinations",
      ({ queue, memory }) => checkDestinations(queue.inbound, memory.local),
      ({ queue, memory }) => kernels.checkDestinations(queue.inbound, memory.local),
    ],
    [
      "countBatch",
      ({ queue }) => countBatch(queue.inbound, queue.counters, "inbound"),
      ({ queue }) => kernels.countBatch(queue.inbound, queue.counters, "inbound"),
    ],
  ];
  fc.assert(
    fc.property(fc.array(packet, { maxLength: batch }), (packets) => {
      fill(model, packets);
      fill(kernel, packets);
      for (const [name, slow, fast] of stages) {
        slow(model);
        fast(kernel);
        expect({ name, state: state(kernel) }).toEqual({ name, state: state(model) });
      }
    }),
    { numRuns: 400 },
  );
});

test("findPeer() finds what PeerTable.find() finds", () => {
  const kernels = kernelsOf(kernel.memory);
  fc.assert(
    fc.property(address, (wanted) => {
      expect(kernels.findPeer(kernel.memory.peers, wanted | 0)).toBe(kernel.memory.peers.find(wanted));
    }),
    { numRuns: 2000 },
  );
});
