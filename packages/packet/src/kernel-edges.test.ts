// What the generators of the other kernel tests hardly ever make: checksums that come out as zero, long runs, any virtio header before
// any bytes, and whatever recvmmsg could say of a message.
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { checksum } from "./checksum.ts";
import { checkSizes } from "./check-sizes.ts";
import { joinPackets } from "./join-packets.ts";
import { createKernelRuns } from "./kernel-runs.fixture.ts";
import { Join, kernelsOf } from "./kernels.ts";
import { HEADROOM, virtioBytes } from "./layout.ts";
import { createPacketMemory } from "./packet-memory.ts";
import type { PacketQueue } from "./packet-queue.ts";
import { segmentPacket } from "./segment-packet.ts";
import { pseudoSumOf } from "./transport-checksum.ts";
import { decodeVirtioHeader, encodeVirtioHeader } from "./virtio-header.ts";

const runs = createKernelRuns(140);
const all = Join.virtio + Join.tcp + Join.udp;
const hex = (list: readonly Uint8Array[]): string[] =>
  list.map((bytes) => Buffer.from(bytes).toString("hex"));

/** A run of packets of one flow. Each packet's checksum is 0 but for a word that makes it so, and is written as either of the two zeros. */
const zeros = fc.record({
  tcp: fc.boolean(),
  isIpv4: fc.boolean(),
  count: fc.integer({ min: 2, max: 140 }),
  size: fc.constantFrom(2, 3, 40, 700),
  written: fc.constantFrom(0, 0xffff),
  writtenInIp: fc.constantFrom(undefined, 0, 0xffff),
});
type Zeros = typeof zeros extends fc.Arbitrary<infer T> ? T : never;

function packetsOf({ tcp, isIpv4, count, size, written, writtenInIp }: Zeros): Uint8Array[] {
  const l4 = isIpv4 ? 20 : 40;
  const header = l4 + (tcp ? 20 : 8);
  return Array.from({ length: count }, (_, i) => {
    const packet = new Uint8Array(header + size).fill(i + 1, header);
    const view = new DataView(packet.buffer);
    packet.set(
      isIpv4 ? [0x45, 0, 0, 0, 0, 0, 0x40, 0, 63, tcp ? 6 : 17] : [0x60, 0, 0, 9, 0, 0, tcp ? 6 : 17, 63],
    );
    packet.fill(10, isIpv4 ? 12 : 8, l4);
    view.setUint16(isIpv4 ? 2 : 4, isIpv4 ? packet.length : packet.length - 40);
    if (isIpv4) {
      view.setUint16(4, i);
      view.setUint16(10, checksum(packet, 0, 20));
      // The first packet alone: the ids of all have to count up.
      if (i === 0 && writtenInIp !== undefined)
        makeZero(view, 4, 10, writtenInIp, () => checksum(packet, 0, 20));
    }
    if (tcp) {
      view.setUint32(l4 + 4, i * size);
      packet.set([0x50, 0x10], l4 + 12);
    } else {
      view.setUint16(l4 + 4, packet.length - l4);
    }
    const sum = (): number => checksum(packet, l4, packet.length - l4, pseudoSumOf(packet, l4, tcp ? 6 : 17));
    makeZero(view, header, l4 + (tcp ? 16 : 6), written, sum);
    return packet;
  });
}

function makeZero(view: DataView, word: number, field: number, written: number, sum: () => number): void {
  view.setUint16(field, 0);
  view.setUint16(word, 0);
  view.setUint16(word, sum());
  view.setUint16(field, written);
}

test("nextFrame() joins what its model joins, and segmentPackets() gives it back, when checksums are zero", () => {
  let joined = 0;
  fc.assert(
    fc.property(zeros, (drawn) => {
      const packets = packetsOf(drawn);
      const frames = runs.frames(packets, all);
      if (frames.length < packets.length) joined++;
      expect(hex(runs.segments(frames))).toEqual(hex(packets));
      // The model takes long for long runs.
      const few = packets.slice(0, 6);
      const model = joinPackets(few, { tcp: true, udp: true });
      expect(hex(runs.frames(few, all))).toEqual(
        hex(model.map(({ virtio, packet }) => Uint8Array.from([...encodeVirtioHeader(virtio), ...packet]))),
      );
    }),
  );
  expect(joined).toBeGreaterThan(20);
});

/** Any bytes with any virtio header, often so that the two fit together. */
const superPacket = fc
  .record({
    bytes: fc.uint8Array({ minLength: 20, maxLength: 400 }),
    first: fc.constantFrom(0x45, 0x4f, 0x60, 0x6f, 0x00),
    flags: fc.constantFrom(0, 1, 1, 1, 3),
    kind: fc.constantFrom(0, 0x80, 1, 0x81, 4, 0x84, 5, 0x85, 3, 2, 0x7f),
    size: fc.oneof(fc.integer({ min: 0, max: 20 }), fc.nat(0xffff)),
    start: fc.oneof(fc.constantFrom(20, 24, 40, 48, 60), fc.nat(420), fc.constant(0xffff)),
    offset: fc.oneof(fc.constantFrom(6, 16), fc.nat(420), fc.constant(0xffff)),
    dataOffset: fc.nat(255),
  })
  .map(({ bytes, first, flags, kind, size, start, offset, dataOffset }) => {
    const packet = bytes.slice();
    packet[0] = first;
    if (start + 12 < packet.length) packet[start + 12] = dataOffset;
    const header = Uint8Array.of(
      flags,
      kind,
      ...new Uint8Array(new Uint16Array([0, size, start, offset]).buffer),
    );
    return { packet, header };
  });

test("segmentPackets() and checkSizes() do what their models do with any bytes behind any virtio header, and touch nothing else", () => {
  const model = createPacketMemory({ batch: 1, slotBytes: 512, peers: 1 });
  const kernel = createPacketMemory({ batch: 1, slotBytes: 512, peers: 1 });
  const { outbound } = runs.memory.queues[0] as PacketQueue;
  fc.assert(
    fc.property(superPacket, fc.integer({ min: 20, max: 300 }), ({ packet, header }, maximum) => {
      const decoded = decodeVirtioHeader(header);
      const cut = decoded === undefined ? undefined : segmentPacket(packet, decoded);
      const around = (): string =>
        hex([
          runs.memory.bytes.slice(outbound.slot(0) - HEADROOM, outbound.slot(0) - virtioBytes),
          runs.memory.bytes.slice(outbound.slot(0) + packet.length, outbound.slot(0) + packet.length + 64),
        ]).join();
      const before = around();
      expect(hex(runs.segments([Uint8Array.from([...header, ...packet])]))).toEqual(hex(cut ?? []));
      expect(around()).toBe(before);

      const verdicts = [model, kernel].map((memory) => {
        const batch = (memory.queues[0] as PacketQueue).outbound;
        batch.count = 0;
        batch.virtio[batch.add(packet)] = batch.slot(0) - virtioBytes;
        memory.bytes.set(header, batch.slot(0) - virtioBytes);
        if (memory === model) checkSizes(batch, maximum);
        else kernelsOf(memory).checkSizes(batch, maximum);
        return batch.verdicts[0];
      });
      expect(verdicts[1]).toBe(verdicts[0]);
    }),
    { numRuns: 1000 },
  );
});

test("takeReceived() keeps every entry inside its slot and loses no byte, whatever recvmmsg says", () => {
  const memory = createPacketMemory({ batch: 6, slotBytes: 1024, peers: 1 });
  const kernels = kernelsOf(memory);
  const message = fc.record({
    length: fc.oneof(fc.nat(1200), fc.nat(0xffff_ffff)),
    flags: fc.constantFrom(0, 0x20, 0xff),
    controlLength: fc.constantFrom(0, 19, 20, 24, 64),
    level: fc.constantFrom(17, 17, 0),
    type: fc.constantFrom(104, 104, 103),
    size: fc.oneof(fc.nat(30), fc.integer({ min: -5, max: 2000 })),
  });
  const { inbound, outbound } = memory.queues[0] as PacketQueue;
  fc.assert(
    fc.property(
      fc.constantFrom(inbound, outbound),
      fc.array(message, { maxLength: 6 }),
      (batch, messages) => {
        kernels.prepareReceive(batch);
        for (const [i, { length, flags, controlLength, level, type, size }] of messages.entries()) {
          const at = batch.messagesOffset + 64 * i;
          memory.view.setBigUint64(at + 40, BigInt(controlLength), true);
          memory.view.setUint32(at + 48, flags, true);
          memory.view.setUint32(at + 56, length, true);
          new Int32Array(memory.memory.buffer, batch.controlOffset + 64 * i + 8, 3).set([level, type, size]);
        }
        const made = kernels.takeReceived(batch, messages.length);
        expect(batch.count).toBe(made);
        expect(made).toBeGreaterThanOrEqual(messages.length);
        expect(made).toBeLessThanOrEqual(batch.entries);
        const room = batch.slotBytes - HEADROOM;
        let end = 0;
        let bytes = 0;
        for (let i = 0; i < made; i++) {
          const [at, length] = [batch.offsets[i] ?? 0, batch.lengths[i] ?? 0];
          const slot = batch.slot(Math.floor((at - batch.slot(0)) / batch.slotBytes));
          expect(at).toBeGreaterThanOrEqual(Math.max(slot, end));
          end = at + length;
          expect(end).toBeLessThanOrEqual(slot + room);
          bytes += length;
        }
        expect(bytes).toBe(messages.reduce((sum, { length }) => sum + Math.min(length, room), 0));
      },
    ),
  );
});
