import * as fc from "fast-check";
import { expect, test } from "vitest";
import { BatchField, HEADROOM, PeersField } from "./layout.ts";
import type { PacketBatch } from "./packet-batch.ts";
import { attachPacketMemory, createPacketMemory } from "./packet-memory.ts";

test("createPacketMemory() gives each batch columns, scratch and slots of its own", () => {
  const memory = createPacketMemory({ queues: 3, batch: 5, slotBytes: 192, replySlotBytes: 256, peers: 3 });
  const taken = memory.queues.flatMap(({ outbound, inbound, replies, scratchOffset, scratchBytes }) => [
    ...[outbound, inbound, replies].flatMap(stretches),
    { start: scratchOffset, bytes: scratchBytes },
  ]);
  taken.push({ start: memory.peers.recordOffset(0), bytes: 96 * (2 * 3 + 64) });
  const inOrder = taken.toSorted((a, b) => a.start - b.start);
  inOrder.reduce((end, { start, bytes }) => {
    expect(start).toBeGreaterThanOrEqual(end);
    return start + bytes;
  }, 4096 + 64);
  expect(inOrder.at(-1)?.start).toBeLessThan(memory.bytes.length);
  for (const { outbound, inbound, replies } of memory.queues) {
    expect([outbound, inbound, replies].map(({ direction }) => direction)).toEqual([0, 1, 2]);
    expect([outbound, inbound, replies].map(({ slotBytes }) => slotBytes)).toEqual([192, 192, 256]);
    for (const batch of [outbound, inbound, replies]) expect((batch.slot(1) - HEADROOM) % 64).toBe(0);
  }
});

test("a batch header tells a WebAssembly kernel where every column is", () => {
  const { queues, view } = createPacketMemory({ batch: 5, slotBytes: 192, peers: 3 });
  const batch = queues[0]?.inbound as PacketBatch;
  batch.count = 4;
  const field = (name: keyof typeof BatchField): number =>
    view.getUint32(batch.headerOffset + BatchField[name], true);
  expect(field("capacity")).toBe(5);
  expect(field("count")).toBe(4);
  expect(field("slotBytes")).toBe(192);
  expect(field("offsetsOffset")).toBe(batch.offsets.byteOffset);
  expect(field("lengthsOffset")).toBe(batch.lengths.byteOffset);
  expect(field("verdictsOffset")).toBe(batch.verdicts.byteOffset);
  expect(field("peersOffset")).toBe(batch.peers.byteOffset);
  expect(field("endpointsOffset")).toBe(batch.endpoints.byteOffset);
  expect(field("iovecCount")).toBe(10);
  expect(field("slotsOffset")).toBe(batch.slot(0) - HEADROOM);
});

test("the peer table's header says which prefix lengths are in use", () => {
  const { peers, view } = createPacketMemory({ batch: 1, slotBytes: 128, peers: 8 });
  const inUse = (): number[] =>
    [PeersField.lengthsLow, PeersField.lengthsHigh].map((at) => view.getUint32(peers.offset + at, true));
  const subnets = [0, 24, 24, 31, 32].map((prefixLength, i) => ({ network: i * 2 ** 28, prefixLength }));
  for (const subnet of subnets) peers.set({ ...subnet, endpointAddress: 1, endpointPort: 1 });
  expect(inUse()).toEqual([1 + 2 ** 24 + 2 ** 31, 1]);
  peers.delete(subnets[1] as (typeof subnets)[0]);
  expect(inUse()).toEqual([1 + 2 ** 24 + 2 ** 31, 1]);
  for (const subnet of subnets) peers.delete(subnet);
  expect(inUse()).toEqual([0, 0]);
});

test("attachPacketMemory() sees what the creator writes, and the other way round", () => {
  const memory = createPacketMemory({ queues: 2, batch: 2, slotBytes: 192, peers: 3 });
  const attached = attachPacketMemory(structuredClone(memory.shared()));
  memory.local.set({ network: 0xac10_0000, prefixLength: 12, address: 0xac10_0001, mtu: 1472 });
  memory.local.set({ network6: 0xfd00n << 112n, prefixLength6: 56, address6: (0xfd00n << 112n) + 1n });
  attached.queues[1]?.outbound.add(Uint8Array.of(1, 2, 3));
  attached.queues[1]?.enter();
  expect([
    attached.local.network,
    attached.local.prefixLength,
    attached.local.address,
    attached.local.mtu,
  ]).toEqual([0xac10_0000, 12, 0xac10_0001, 1472]);
  const { network6, prefixLength6, address6 } = attached.local;
  expect([network6, prefixLength6, address6]).toEqual([0xfd00n << 112n, 56, (0xfd00n << 112n) + 1n]);
  expect([...(memory.queues[1]?.outbound.packet(0) ?? [])]).toEqual([1, 2, 3]);
  expect(memory.queues.map(({ inside }) => inside)).toEqual([false, true]);
  memory.queues[1]?.leave();
  memory.queues[1]?.leave();
  expect(attached.queues[1]?.inside).toBe(false);
});

test("createPacketMemory() throws RangeError for options out of range", () => {
  const wrong = [
    { queues: 0 },
    { batch: 1025 },
    { slotBytes: 100 },
    { slotBytes: 64 },
    { replySlotBytes: 128 },
    { peers: 0 },
  ];
  for (const options of [...wrong, { iovecsPerSlot: 0 }, { peers: 1.5 }]) {
    expect(() => createPacketMemory(options)).toThrow(RangeError);
  }
  expect(() => createPacketMemory({ slotBytes: 100 })).toThrow(
    "Cannot create packet memory: slotBytes is 100, expected a multiple of 64 from 128 to 1048576",
  );
  expect(() => createPacketMemory({ queues: 64, batch: 1024 })).toThrow("expected at most 4 GiB");
});

test("attachPacketMemory() throws TypeError for a memory that isn't one", () => {
  const empty = { memory: { buffer: new SharedArrayBuffer(65_536) } };
  expect(() => attachPacketMemory(empty)).toThrow("Cannot attach packet memory: its header is missing");
  const { memory, view } = createPacketMemory({ batch: 1, slotBytes: 128, peers: 1 });
  view.setUint32(4096 + 4, 99, true);
  expect(() => attachPacketMemory({ memory })).toThrow(TypeError);
});

test("LocalNode.set() throws RangeError for numbers out of range", () => {
  const { local } = createPacketMemory({ batch: 1, slotBytes: 128, peers: 1 });
  expect(() => local.set({ prefixLength: 33 })).toThrow(
    "Cannot set local node: prefixLength is 33, expected an integer from 0 to 32",
  );
  expect(() => local.set({ address: -1 })).toThrow(RangeError);
  expect(() => local.set({ prefixLength6: 129 })).toThrow("expected an integer from 0 to 128");
  expect(() => local.set({ network6: 2n ** 128n })).toThrow("expected an IPv6 address");
});

test("LocalNode.holds() tells the addresses of our own subnets from all others, in any lengths", () => {
  const memory = createPacketMemory({ batch: 1, slotBytes: 128, peers: 1 });
  const at = memory.queues[0]?.inbound.slot(0) ?? 0;
  const cases = [
    { family: 4, bits: 32 },
    { family: 6, bits: 128 },
  ] as const;
  for (const { family, bits } of cases) {
    const address = fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) - 1n });
    // Most pairs differ in one bit alone, anywhere.
    const flipped = fc.option(fc.nat(bits - 1), { nil: undefined });
    fc.assert(
      fc.property(address, flipped, fc.nat(bits), (own, bit, length) => {
        const other = bit === undefined ? own : own ^ (1n << BigInt(bit));
        if (family === 4) memory.local.set({ network: Number(own), prefixLength: length });
        else memory.local.set({ network6: own, prefixLength6: length });
        for (let i = 0; i < bits / 8; i++)
          memory.view.setUint8(at + i, Number((other >> BigInt(bits - 8 - 8 * i)) & 255n));
        const shift = BigInt(bits - length);
        const expected = length > 0 && own >> shift === other >> shift;
        expect(memory.local.holds(memory.view, at, family)).toBe(expected);
      }),
    );
  }
});

test("PacketBatch.add() throws RangeError when the batch is full or the packet too long", () => {
  const batch = createPacketMemory({ batch: 1, slotBytes: 192, peers: 1 }).queues[0]?.outbound as PacketBatch;
  expect(() => batch.add(new Uint8Array(129))).toThrow(
    "Cannot add packet: it has 129 bytes, expected at most 128",
  );
  expect(batch.add(new Uint8Array(128))).toBe(0);
  expect(() => batch.add(new Uint8Array(1))).toThrow("Cannot add packet: the batch is full with 1 packets");
});

function stretches(batch: PacketBatch): { start: number; bytes: number }[] {
  const { capacity, offsets, lengths, verdicts, peers, endpoints } = batch;
  return [
    { start: batch.headerOffset, bytes: 64 },
    ...[offsets, lengths, verdicts, peers, endpoints].map((column) => ({
      start: column.byteOffset,
      bytes: column.byteLength,
    })),
    { start: batch.iovecsOffset, bytes: 16 * batch.iovecCount },
    { start: batch.messagesOffset, bytes: 64 * capacity },
    { start: batch.namesOffset, bytes: 32 * capacity },
    { start: batch.controlOffset, bytes: 64 * capacity },
    { start: batch.slot(0) - HEADROOM, bytes: capacity * batch.slotBytes },
  ];
}
