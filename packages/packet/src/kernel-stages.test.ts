import * as fc from "fast-check";
import { expect, test } from "vitest";
import { checkDestinations } from "./check-destinations.ts";
import { checkPackets } from "./check-packets.ts";
import { checkSenders } from "./check-senders.ts";
import { checkSizes } from "./check-sizes.ts";
import { countBatch } from "./count-batch.ts";
import { decrementTtl } from "./decrement-ttl.ts";
import { kernelsOf } from "./kernels.ts";
import { type PacketAddress, writeIpv6 } from "./packet-address.ts";
import { createPacketMemory, type PacketMemory } from "./packet-memory.ts";
import type { PacketQueue } from "./packet-queue.ts";
import { routeToPeers } from "./route-to-peers.ts";

/** An address of subnet `number` of fd00:5::/48. */
function ipv6(number: number, host = 0n): bigint {
  return (0xfd00_0005_0000n << 80n) | (BigInt(number) << 64n) | host;
}
function endpoint6(number: number): bigint {
  return (0x2001_0db8n << 96n) | BigInt(number);
}

const batch = 8;
const make = (): { memory: PacketMemory; queue: PacketQueue } => {
  const memory = createPacketMemory({ batch, slotBytes: 256, peers: 64 });
  for (const [network, prefixLength, endpointAddress] of peers) {
    memory.peers.set({ network, prefixLength, endpointAddress, endpointPort: 8285 });
  }
  memory.local.set({ network: 0x0a05_0100, prefixLength: 24, address: 0x0a05_0100, mtu: 100 });
  memory.local.set({ network6: ipv6(1), prefixLength6: 64, address6: ipv6(1) });
  return { memory, queue: memory.queues[0] as PacketQueue };
};
const peers: readonly (readonly [PacketAddress, number, PacketAddress])[] = [
  [0x0a05_0200, 24, 0xc000_0202],
  [0x0a05_0300, 24, 0xc000_0203],
  [0x0a05_0380, 25, 0xc000_0204],
  [0x0a05_03ff, 32, endpoint6(5)],
  [0x0a06_0000, 16, 0xc000_0202],
  [ipv6(2), 64, 0xc000_0202],
  [ipv6(3), 64, endpoint6(3)],
  [ipv6(3, 0x8000_0000_0000_0000n), 65, endpoint6(4)],
  [ipv6(3, 0x8000_0000_0000_0007n), 128, endpoint6(5)],
  [ipv6(0x100), 56, endpoint6(3)],
  [0xfd01n << 112n, 20, 0xc000_0203],
];
const model = make();
const kernel = make();

const address = fc.oneof(
  fc.constantFrom(0x0a05_0101, 0x0a05_0201, 0x0a05_0301, 0x0a05_0390, 0x0a05_03ff, 0x0a06_1234, 0x0b00_0001),
  fc.nat(0xffff_ffff),
);
const host = fc.constantFrom(0n, 7n, 0x8000_0000_0000_0000n, 0x8000_0000_0000_0007n, 0xffff_ffff_ffff_ffffn);
const address6 = fc.oneof(
  fc.tuple(fc.constantFrom(1, 2, 3, 4, 0x100, 0x1ff, 0x200), host).map(([number, own]) => ipv6(number, own)),
  fc.constantFrom(0n, 0xfd01_0fffn << 96n, 0xfd01_1000n << 96n, 0xff02n << 112n),
  fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }),
);
const packet = fc.record({
  bytes: fc.uint8Array({ maxLength: 120 }),
  looksRight: fc.boolean(),
  isIpv6: fc.boolean(),
  source6: address6,
  destination6: address6,
  sender6: fc.constantFrom(3, 4, 5, 9).map((number) => endpoint6(number)),
  first: fc.constantFrom(0x45, 0x45, 0x46, 0x4f, 0x41, 0x60),
  ttl: fc.constantFrom(0, 1, 2, 64, 255),
  source: address,
  destination: address,
  sender: fc.constantFrom(0, 0xc000_0202, 0xc000_0203, 0xc000_0204, 0xc000_0209),
  senderFamily: fc.constantFrom(2, 2, 10, 10, 1),
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
      if (drawn.senderFamily === 10) writeIpv6(target.view, name + 8, drawn.sender6);
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
  if (drawn.isIpv6 && bytes.length >= 40) {
    bytes[0] = 0x60;
    bytes[7] = drawn.ttl;
    view.setUint16(4, bytes.length - 40);
    writeIpv6(view, 8, drawn.source6);
    writeIpv6(view, 24, drawn.destination6);
    return bytes;
  }
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

test("findPeer() and findPeerIpv6() find what PeerTable.find() finds", () => {
  const kernels = kernelsOf(kernel.memory);
  fc.assert(
    fc.property(address, address6, (wanted, wanted6) => {
      const table = kernel.memory.peers;
      expect(kernels.findPeer(table, wanted | 0)).toBe(table.find(wanted));
      const at = kernel.queue.outbound.slot(0);
      writeIpv6(kernel.memory.view, at, wanted6);
      expect(kernels.findPeerIpv6(table, at)).toBe(table.find(wanted6));
    }),
    { numRuns: 2000 },
  );
});
