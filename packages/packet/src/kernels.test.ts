import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checksum } from "./checksum.ts";
import { joinPackets, type Frame } from "./join-packets.ts";
import { createKernelRuns } from "./kernel-runs.fixture.ts";
import { Join, kernelsOf } from "./kernels.ts";
import { segmentPacket } from "./segment-packet.ts";
import { pseudoSumOf, transportChecksum } from "./transport-checksum.ts";
import { decodeVirtioHeader, encodeVirtioHeader } from "./virtio-header.ts";
import { Verdict } from "./verdict.ts";

const batch = 80;
const runs = createKernelRuns(batch);
const both = Join.virtio + Join.tcp + Join.udp;

/** Packets of one flow in a row, as its sender makes them: everything that counts up does. */
interface Run {
  readonly ipv4: boolean;
  readonly tcp: boolean;
  readonly ports: number;
  readonly id: number;
  readonly sequence: number;
  readonly flags: number;
  readonly lastFlags: number;
  readonly tos: number;
  readonly fragment: number;
  readonly options: number;
  readonly size: number;
  readonly count: number;
  readonly tail: number;
  /** Byte and bit of one packet that are wrong. */
  readonly damage: { readonly packet: number; readonly at: number; readonly bit: number } | undefined;
  /** Whether the damaged packet gets right checksums after all. */
  readonly mended: boolean;
}

const flow: fc.Arbitrary<Run> = fc.record({
  ipv4: fc.boolean(),
  tcp: fc.boolean(),
  ports: fc.integer({ min: 0, max: 1 }),
  id: fc.constantFrom(0, 7, 0xfffe, 0xffff),
  sequence: fc.constantFrom(0, 1000, 0xffff_ff00, 0xffff_ffff),
  flags: fc.constantFrom(0x10, 0x10, 0x10, 0x50, 0x90, 0xd0, 0x18, 0x30, 0x02, 0x11, 0x14),
  lastFlags: fc.constantFrom(0x10, 0x18, 0x11, 0x19, 0x90, 0x50),
  tos: fc.constantFrom(0, 1, 2, 3),
  fragment: fc.constantFrom(0x40, 0x40, 0x00, 0x20, 0x80),
  options: fc.constantFrom(0, 3, 10),
  size: fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 10, max: 1500 }), fc.constant(9000)),
  count: fc.integer({ min: 1, max: 8 }),
  tail: fc.integer({ min: -3, max: 3 }),
  damage: fc.option(fc.record({ packet: fc.nat(7), at: fc.nat(90), bit: fc.nat(7) }), {
    nil: undefined,
    freq: 2,
  }),
  mended: fc.boolean(),
});
const flows = fc
  .array(flow, { minLength: 1, maxLength: 6 })
  .map((list) => list.flatMap((each) => packetsOf(each)).slice(0, batch));

function packetsOf(run: Run): Uint8Array[] {
  return Array.from({ length: run.count }, (_, i) => {
    const l4 = run.ipv4 ? 20 : 40;
    const header = l4 + (run.tcp ? 20 + 4 * run.options : 8);
    const isLast = i === run.count - 1;
    const size = Math.max(0, run.size + (isLast ? run.tail : 0));
    const packet = new Uint8Array(header + size).map((_byte, at) => (at * 31 + i * 7) & 255);
    const view = new DataView(packet.buffer);
    if (run.ipv4) {
      packet.set([
        0x45,
        run.tos,
        0,
        0,
        0,
        0,
        run.fragment,
        0,
        63,
        run.tcp ? 6 : 17,
        0,
        0,
        10,
        5,
        1,
        1,
        10,
        5,
        2,
        1,
      ]);
      view.setUint16(4, (run.id + i) & 0xffff);
    } else {
      packet.set([0x60 | (run.tos >> 2), run.tos << 6, 0, 9, 0, 0, run.tcp ? 6 : 17, 63]);
      packet.fill(0xfd, 8, 40);
    }
    packet.set([0, 80, 0, run.ports], l4);
    if (run.tcp) {
      packet.fill(9, l4 + 8, l4 + 12);
      packet.fill(1, l4 + 14, header);
      view.setUint32(l4 + 4, (run.sequence + i * run.size) >>> 0);
      packet[l4 + 12] = (5 + run.options) << 4;
      packet[l4 + 13] = isLast ? run.lastFlags : run.flags;
    }
    finish(packet, l4, run.tcp);
    if (run.damage?.packet === i && run.damage.at < packet.length) {
      packet[run.damage.at] = (packet[run.damage.at] ?? 0) ^ (1 << run.damage.bit);
      if (run.mended && packet[0] === (run.ipv4 ? 0x45 : 0x60)) finish(packet, l4, run.tcp);
    }
    return packet;
  });
}

function finish(packet: Uint8Array, l4: number, tcp: boolean): void {
  const view = new DataView(packet.buffer);
  if (!tcp) view.setUint16(l4 + 4, packet.length - l4);
  if (l4 === 20) {
    view.setUint16(2, packet.length);
    view.setUint16(10, 0);
    view.setUint16(10, checksum(packet, 0, 20));
  } else {
    view.setUint16(4, packet.length - 40);
  }
  view.setUint16(l4 + (tcp ? 16 : 6), transportChecksum(packet, l4, tcp ? 6 : 17));
}

const encoded = ({ virtio, packet }: Frame): Uint8Array =>
  Uint8Array.from([...encodeVirtioHeader(virtio), ...packet]);
const hex = (list: readonly Uint8Array[]): string[] =>
  list.map((bytes) => Buffer.from(bytes).toString("hex"));

describe("nextFrame() and segmentPackets()", () => {
  test("segmentPackets() gives back every packet, byte for byte, whatever nextFrame() joined", () => {
    let joinedSome = 0;
    fc.assert(
      fc.property(flows, fc.constantFrom(both, Join.virtio, Join.virtio + Join.tcp), (packets, how) => {
        const frames = runs.frames(packets, how);
        if (frames.length < packets.length) joinedSome++;
        expect(hex(runs.segments(frames))).toEqual(hex(packets));
      }),
      { numRuns: 1000 },
    );
    expect(joinedSome).toBeGreaterThan(300);
  });

  test("nextFrame() makes what its model makes", () => {
    fc.assert(
      fc.property(flows, fc.boolean(), fc.boolean(), (packets, tcp, udp) => {
        const how = Join.virtio + (tcp ? Join.tcp : 0) + (udp ? Join.udp : 0);
        expect(hex(runs.frames(packets, how))).toEqual(
          hex(joinPackets(packets, { tcp, udp }).map((frame) => encoded(frame))),
        );
      }),
      { numRuns: 500 },
    );
  });

  test("segmentPackets() makes what its model makes, of any packet with any virtio header", () => {
    const virtio = fc.record({
      needsChecksum: fc.boolean(),
      kind: fc.constantFrom("none", "tcp4", "tcp6", "udp"),
      hasCwr: fc.boolean(),
      headerLength: fc.nat(100),
      segmentSize: fc.integer({ min: 0, max: 1500 }),
      checksumStart: fc.constantFrom(20, 40, 0, 24, 1000),
      checksumOffset: fc.constantFrom(16, 6, 1000),
    } as const);
    fc.assert(
      fc.property(flows, virtio, ([packet = new Uint8Array()], header) => {
        const frame = { virtio: header, packet };
        const model = segmentPacket(packet, header);
        // More segments than there is room for is malformed to the kernel.
        if (model !== undefined && model.length > 2048) return;
        expect(hex(runs.segments([encoded(frame)]))).toEqual(hex(model ?? []));
      }),
      { numRuns: 1000 },
    );
  });

  test("segmentPackets() copies extension headers, and leaves the sum to the destination that the sender meant", () => {
    const [whole = new Uint8Array()] = packetsOf({ ...plain, ipv4: false, size: 3000 });
    // A routing header (type 4, one segment left) after the IPv6 header: the packet is on its way to fd00::9, and meant for fdfd:….
    const routing = Uint8Array.from([6, 2, 4, 1, 0, 0, 0, 0, ...whole.subarray(24, 40)]);
    const packet = Uint8Array.from([...whole.subarray(0, 40), ...routing, ...whole.subarray(40)]);
    const view = new DataView(packet.buffer);
    packet.set([43], 6);
    packet.set([0xfd, ...new Uint8Array(14), 9], 24);
    view.setUint16(4, packet.length - 40);
    const l4 = 64;
    view.setUint16(l4 + 16, ~checksum(packet, 0, 0, pseudoSumOf(whole, 40, 6)) & 0xffff);
    const virtio: Frame["virtio"] = {
      ...superTcp(1000),
      kind: "tcp6",
      checksumStart: l4,
      headerLength: l4 + 32,
    };
    const segments = runs.segments([encoded({ virtio, packet })]);
    expect(segments.map((segment) => segment.length)).toEqual([1096, 1096, 1096]);
    for (const [i, segment] of segments.entries()) {
      expect(hex([segment.subarray(6, 64)])).toEqual(hex([packet.subarray(6, 64)]));
      const meant = Uint8Array.from([
        ...segment.subarray(0, 24),
        ...routing.subarray(8),
        ...segment.subarray(l4),
      ]);
      expect(checksum(meant, 40, meant.length - 40, pseudoSumOf(meant, 40, 6))).toBe(0);
      expect(hex([segment.subarray(l4 + 32)])).toEqual(
        hex([packet.subarray(l4 + 32 + i * 1000, l4 + 1032 + i * 1000)]),
      );
    }
  });

  test("any bytes are written as they are", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: batch }), (packets) => {
        const frames = runs.frames(packets, both);
        expect(hex(frames.map((frame) => frame.subarray(10)))).toEqual(hex(packets));
        expect(hex(runs.frames(packets, 0))).toEqual(hex(packets));
      }),
    );
  });

  test("a frame is at most 65,535 bytes long, and TCP packets of a flow fill it", () => {
    const whole: Run = { ...plain, size: 1448, count: 48, tail: 0 };
    const frames = runs.frames(packetsOf(whole), both);
    expect(frames.map((frame) => frame.length - 10)).toEqual([52 + 45 * 1448, 52 + 3 * 1448]);
    expect(decodeVirtioHeader(frames[0] as Uint8Array)).toEqual({
      needsChecksum: true,
      kind: "tcp4",
      hasCwr: false,
      headerLength: 52,
      segmentSize: 1448,
      checksumStart: 20,
      checksumOffset: 16,
    });
  });

  test("segmentPackets() goes on where the segments were full", () => {
    const { memory } = runs;
    const outbound = memory.queues[0]?.outbound;
    const frames = [1, 2, 3].map((id) =>
      encoded({
        virtio: superTcp(36),
        packet: packetsOf({ ...plain, id, size: 60_000, count: 1 })[0] as Uint8Array,
      }),
    );
    const packets = runs.segments(frames);
    expect(packets).toHaveLength(3 * Math.ceil(60_000 / 36));
    expect([...(outbound?.parts.subarray(0, 3) ?? [])]).toEqual([1667, 1667, 1667]);
    expect(outbound?.wireBytes[0]).toBe(60_000 + 1667 * 52);
    expect(runs.segments([encoded({ virtio: superTcp(20), packet: packets[0] as Uint8Array })])).toHaveLength(
      2,
    );
    expect(
      runs.segments([encoded({ virtio: superTcp(10), packet: frames[0]?.subarray(10) as Uint8Array })]),
    ).toEqual([]);
    expect(outbound?.verdicts[0]).toBe(Verdict.badLength);
  });
});

test("gatherMessages() joins neighbours of one size, the last may be shorter, up to the most segments and 65,507 bytes", () => {
  const lengths = [
    100, 100, 60, 100, 120, 120, 120, 120, 0, 0, 30, 30, 9000, 9000, 9000, 9000, 9000, 9000, 9000, 9000,
  ];
  runs.segments(lengths.map((length) => new Uint8Array(10 + length)));
  const expected = [
    [100, 100, 60],
    [100],
    [120, 120, 120],
    [120],
    [0],
    [0],
    [30, 30],
    [9000, 9000, 9000],
    [9000, 9000, 9000],
    [9000, 9000],
  ];
  expect(runs.messages(3)).toEqual(expected);
  expect(runs.messages(128).slice(-2)).toEqual([Array.from({ length: 7 }, () => 9000), [9000]]);
  expect(runs.messages(1)).toEqual(lengths.map((length) => [length]));
});

test("checksum() of the kernels equals the function, from any start and of any length", () => {
  const { memory } = runs;
  const kernels = kernelsOf(memory);
  const at = memory.queues[0]?.inbound.slot(0) ?? 0;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), fc.nat(70), fc.boolean(), (bytes, shift, full) => {
      const data = full ? bytes.fill(0xff) : bytes;
      memory.bytes.set(data, at + shift);
      expect(kernels.checksum(at + shift, data.length)).toBe(checksum(data));
    }),
  );
  memory.bytes.fill(0xff, at, at + 65_535);
  expect(kernels.checksum(at, 65_534)).toBe(0);
});

const plain: Run = {
  ipv4: true,
  tcp: true,
  ports: 1,
  id: 0xfff0,
  sequence: 5,
  flags: 0x10,
  lastFlags: 0x18,
  tos: 0,
  fragment: 0x40,
  options: 3,
  size: 1448,
  count: 1,
  tail: 0,
  damage: undefined,
  mended: false,
};

function superTcp(segmentSize: number): Frame["virtio"] {
  return {
    needsChecksum: true,
    kind: "tcp4",
    hasCwr: false,
    headerLength: 52,
    segmentSize,
    checksumStart: 20,
    checksumOffset: 16,
  };
}
