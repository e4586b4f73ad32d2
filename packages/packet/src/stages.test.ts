import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  answerErrors,
  checkDestinations,
  checkPackets,
  checkSenders,
  checkSizes,
  countBatch,
  createPacketMemory,
  decrementTtl,
  dropReasons,
  encodeIpv4,
  encodeIpv6,
  type PacketBatch,
  type PacketMemory,
  type PacketQueue,
  readCounters,
  routeToPeers,
  Verdict,
} from "./index.ts";

describe("any bytes", () => {
  const wild = fc.oneof(
    fc.uint8Array({ maxLength: 120 }),
    fc.uint8Array({ minLength: 20, maxLength: 120 }).map(disguise),
  );

  test("no stage throws, touches another slot, or looks at a packet that was dropped before", () => {
    fc.assert(
      fc.property(
        fc.array(wild, { maxLength: 6 }),
        fc.array(fc.nat(12), { minLength: 6, maxLength: 6 }),
        (packets, verdicts) => {
          for (const direction of ["outbound", "inbound"] as const) {
            const { memory, queue } = open();
            const batch = queue[direction];
            packets.forEach((packet, i) => {
              batch.add(packet);
              // half of them were dropped by an earlier stage
              batch.verdicts[i] = i % 2 === 0 ? 0 : (verdicts[i] ?? 0);
            });
            const before = packets.map((_, i) => ({
              verdict: batch.verdicts[i] ?? 0,
              bytes: wholeSlot(batch, i),
            }));
            run(memory, queue, direction);
            for (const [i, { verdict, bytes }] of before.entries()) {
              const after = wholeSlot(batch, i);
              const passed = batch.verdicts[i] === Verdict.pass;
              expect(batch.verdicts[i]).toBe(verdict === 0 ? batch.verdicts[i] : verdict);
              // Only a passed packet's TTL and checksum, or hop limit, change.
              const changed = (bytes[64] ?? 0) >> 4 === 4 ? [72, 74, 75] : [71];
              const same = passed
                ? bytes.map((byte, at) => (changed.includes(at) ? (after[at] ?? 0) : byte))
                : bytes;
              expect(after).toEqual(same);
            }
            const counts = readCounters(memory)[direction];
            expect(counts.packets + Object.values(counts.dropped).reduce((a, b) => a + b, 0)).toBe(
              packets.length,
            );
          }
        },
      ),
    );
  });

  test("checkPackets() passes exactly what is one whole packet of either family", () => {
    fc.assert(
      fc.property(wild, (packet) => {
        const { queue } = open();
        queue.outbound.add(packet);
        checkPackets(queue.outbound);
        const [first = 0, , high = 0, low = 0, high6 = 0, low6 = 0] = packet;
        const headerLength = (first % 16) * 4;
        const isIpv4 =
          packet.length >= 20 && first >> 4 === 4 && headerLength >= 20 && headerLength <= packet.length;
        const whole =
          (isIpv4 && high * 256 + low === packet.length) ||
          (packet.length >= 40 && first >> 4 === 6 && high6 * 256 + low6 === packet.length - 40);
        expect(queue.outbound.verdicts[0] === Verdict.pass).toBe(whole);
      }),
    );
  });
});

describe("answerErrors()", () => {
  test("adds after the replies that are there, and suppresses what has no room", () => {
    const { memory, queue } = open();
    for (let i = 0; i < 6; i++) queue.outbound.add(encodeIpv4(unrouted));
    checkPackets(queue.outbound);
    routeToPeers(queue.outbound, memory.peers);
    answerErrors(queue.outbound, queue.replies, memory.local, queue.limiter, () => 0);
    expect(queue.replies.count).toBe(6);
    answerErrors(queue.outbound, queue.replies, memory.local, queue.limiter, () => 0);
    expect(queue.replies.count).toBe(queue.replies.capacity);
    expect(readCounters(memory)).toMatchObject({ icmpSent: 8, icmpSuppressed: 4 });
  });

  test("stays within the rate, over all kinds of errors", () => {
    const { memory, queue } = open();
    queue.limiter.configure({ perSecond: 10, burst: 2 });
    const answered = [0, 0, 0, 50, 100, 100, 1100, 1100, 1100].map((nowMs, i) => {
      queue.outbound.count = 0;
      queue.replies.count = 0;
      queue.outbound.add(encodeIpv4(i % 2 === 0 ? unrouted : { ...routed, ttl: 1 }));
      routeToPeers(queue.outbound, memory.peers);
      decrementTtl(queue.outbound);
      answerErrors(queue.outbound, queue.replies, memory.local, queue.limiter, () => nowMs);
      return queue.replies.count;
    });
    expect(answered).toEqual([1, 1, 0, 0, 1, 0, 1, 1, 0]);
    expect(readCounters(memory)).toMatchObject({ icmpSent: 5, icmpSuppressed: 4 });
  });

  test("has 50 tokens at first and 1,000 per second by default; time backwards adds none", () => {
    const { queue } = open();
    const tokens = (nowMs: number): number => {
      let taken = 0;
      while (queue.limiter.take(nowMs)) taken++;
      return taken;
    };
    expect([1e12, 1e12, 1e12 + 20, 1e12 + 10, 1e12 + 1010].map(tokens)).toEqual([50, 0, 20, 0, 50]);
    expect(() => queue.limiter.configure({ perSecond: -1 })).toThrow(RangeError);
  });
});

test("countBatch() adds up over batches, and readCounters() over queues", () => {
  const memory = createPacketMemory({ queues: 2, batch: 32, slotBytes: 256, peers: 4 });
  for (const [q, queue] of memory.queues.entries()) {
    for (let round = 0; round < 2; round++) {
      queue.inbound.count = 0;
      for (let i = 0; i <= dropReasons.length; i++)
        queue.inbound.verdicts[queue.inbound.add(new Uint8Array(10 + q))] = i;
      countBatch(queue.inbound, queue.counters, "inbound");
    }
  }
  const { inbound, outbound } = readCounters(memory);
  expect(inbound).toEqual({
    packets: 4,
    bytes: 42,
    dropped: Object.fromEntries(dropReasons.map((reason) => [reason, 4])),
  });
  expect(outbound.packets).toBe(0);
});

test("checkDestinations() admits nothing of a family that we have no subnet of", () => {
  const { memory, queue } = open();
  memory.local.set({ network: 0, prefixLength: 0, network6: 1n << 64n, prefixLength6: 64 });
  const ipv6 = { source: 1n, nextHeader: 17, payload: new Uint8Array(8) };
  queue.inbound.add(encodeIpv4({ ...routed, destination: 0xfe01_0203 }));
  queue.inbound.add(encodeIpv6({ ...ipv6, destination: (1n << 64n) + 7n }));
  checkDestinations(queue.inbound, memory.local);
  expect([...queue.inbound.verdicts.subarray(0, 2)]).toEqual([Verdict.foreignDestination, Verdict.pass]);
  memory.local.set({ prefixLength6: 0 });
  checkDestinations(queue.inbound, memory.local);
  expect(queue.inbound.verdicts[1]).toBe(Verdict.foreignDestination);
});

const routed = { source: 0x0a05_2202, destination: 0x0a05_6301, protocol: 17, payload: new Uint8Array(8) };
const unrouted = { ...routed, destination: 0x0a06_0001 };

function open(): { memory: PacketMemory; queue: PacketQueue } {
  const memory = createPacketMemory({ batch: 8, slotBytes: 256, peers: 4 });
  memory.peers.set({
    network: 0x0a05_6300,
    prefixLength: 24,
    endpointAddress: 0xc0a8_0002,
    endpointPort: 8285,
  });
  memory.peers.set({
    network: 0xfd00_0005_0000_0063n << 64n,
    prefixLength: 64,
    endpointAddress: 0xc0a8_0002,
    endpointPort: 8285,
  });
  memory.local.set({ network: 0x0a05_2200, prefixLength: 24, address: 0x0a05_2200, mtu: 100 });
  const network6 = 0xfd00_0005_0000_0022n << 64n;
  memory.local.set({ network6, prefixLength6: 64, address6: network6 });
  return { memory, queue: memory.queues[0] as PacketQueue };
}

function run(memory: PacketMemory, queue: PacketQueue, direction: "outbound" | "inbound"): void {
  const batch = queue[direction];
  checkPackets(batch);
  if (direction === "outbound") routeToPeers(batch, memory.peers);
  else checkSenders(batch, memory.peers, "any");
  if (direction === "inbound") checkDestinations(batch, memory.local);
  checkSizes(batch, memory.local.mtu);
  decrementTtl(batch);
  answerErrors(batch, queue.replies, memory.local, queue.limiter, () => 0);
  countBatch(batch, queue.counters, direction);
}

// An address in our own subnet, fd00:5:0:22::/64, or in the peer's, fd00:5:0:63::/64.
function ipv6Bytes(whose: number): number[] {
  return [0xfd, 0, 0, 5, 0, 0, 0, whose === 0 ? 0x22 : 0x63, 0, 0, 0, 0, 0, 0, 0, 9];
}

// Makes random bytes look like a packet, more or less.
function disguise(bytes: Uint8Array): Uint8Array {
  const packet = bytes.slice();
  const view = new DataView(packet.buffer);
  if ((packet[2] ?? 0) % 2 === 0 && packet.length >= 40) {
    packet[0] = 0x60;
    if ((packet[1] ?? 0) % 4 !== 0) view.setUint16(4, packet.length - 40);
    if ((packet[8] ?? 0) % 2 === 0) packet.set(ipv6Bytes((packet[9] ?? 0) % 2), 8);
    if ((packet[24] ?? 0) % 2 === 0) packet.set(ipv6Bytes((packet[25] ?? 0) % 2), 24);
    return packet;
  }
  packet[0] = 0x40 | ((packet[0] ?? 0) % 3 === 0 ? (packet[0] ?? 0) & 15 : 5);
  if ((packet[1] ?? 0) % 4 !== 0) view.setUint16(2, packet.length);
  if ((packet[4] ?? 0) % 2 === 0) view.setUint32(12, (packet[5] ?? 0) % 2 === 0 ? 0x0a05_6305 : 0x0a05_2205);
  if ((packet[4] ?? 0) % 2 === 0) view.setUint32(16, (packet[5] ?? 0) % 2 === 0 ? 0x0a05_2206 : 0x0a05_6306);
  return packet;
}

function wholeSlot(batch: PacketBatch, i: number): number[] {
  return Array.from(batch.bytes.subarray(batch.slot(i) - 64, batch.slot(i) - 64 + batch.slotBytes));
}
