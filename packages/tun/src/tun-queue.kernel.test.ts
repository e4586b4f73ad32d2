import { Worker } from "node:worker_threads";
import { addressOf, constants, sys } from "@loden/linux";
import { createPacketMemory, type PacketBatch, type PacketMemory, Verdict } from "@loden/packet";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createTunQueue } from "./create-tun-queue.ts";
import { EBADFD } from "./device-gone.ts";
import {
  KernelHost,
  payloadOf,
  readable,
  receive,
  sendDatagram,
  turnAround,
  udpPacket,
} from "./kernel-host.fixture.ts";

const bytes = (length: number, fill: number): Uint8Array => new Uint8Array(length).fill(fill);

const batchOf = (memory: PacketMemory): PacketBatch => {
  const [queue] = memory.queues;
  if (queue === undefined) throw new Error("a packet memory without queues");
  queue.outbound.count = 0;
  return queue.outbound;
};

const payloadsOf = (batch: PacketBatch): Uint8Array[] =>
  Array.from({ length: batch.count }, (_, i) => payloadOf(batch.packet(i)).slice());

//     test --- TunQueue | loden0 10.77.0.1/24 --- kernel UDP sockets
describe("TunQueue.read()", () => {
  test("read() fills the batch with what the kernel sends, and returns 0 when nothing is there", async () => {
    using host = new KernelHost();
    const socket = host.udpSocket(7000);
    const memory = createPacketMemory({ batch: 8, peers: 16 });
    const batch = batchOf(memory);
    const queue = createTunQueue(host.tun.fd, memory);
    batch.add(bytes(4, 4));
    expect(queue.read(batch)).toBe(0);
    expect(batch.count).toBe(0);
    for (const length of [0, 1, 1400]) sendDatagram(socket, bytes(length, length));
    await readable(host.tun.fd);
    expect(queue.read(batch)).toBe(3);
    expect(batch.count).toBe(3);
    expect([...batch.lengths.subarray(0, 3)]).toEqual([28, 29, 1428]);
    expect(payloadsOf(batch)).toEqual([bytes(0, 0), bytes(1, 1), bytes(1400, 1400)]);
    for (let i = 0; i < 3; i += 1) {
      expect([batch.offsets[i], batch.verdicts[i], batch.peers[i], batch.endpoints[i]]).toEqual([
        batch.slot(i),
        0,
        -1,
        0,
      ]);
    }
    expect(queue.read(batch)).toBe(0);
    expect(batch.count).toBe(0);
  });

  test("read() stops when the batch is full, and goes on with the next call", async () => {
    using host = new KernelHost();
    const socket = host.udpSocket(7000);
    const memory = createPacketMemory({ batch: 4, iovecsPerSlot: 1, peers: 16 });
    const batch = batchOf(memory);
    const queue = createTunQueue(host.tun.fd, memory);
    for (let i = 0; i < 10; i += 1) sendDatagram(socket, bytes(3, i));
    await readable(host.tun.fd);
    const counts: number[] = [];
    const seen: number[] = [];
    for (let call = 0; call < 4; call += 1) {
      counts.push(queue.read(batch));
      seen.push(...payloadsOf(batch).map((payload) => payload[0] as number));
    }
    expect(counts).toEqual([4, 4, 2, 0]);
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("read() takes no more than it was asked for, and leaves the rest for the next", async () => {
    using host = new KernelHost();
    const socket = host.udpSocket(7000);
    const memory = createPacketMemory({ batch: 4, iovecsPerSlot: 1, peers: 16 });
    const batch = batchOf(memory);
    const queue = createTunQueue(host.tun.fd, memory);
    for (let i = 0; i < 3; i += 1) sendDatagram(socket, bytes(3, i));
    await readable(host.tun.fd);
    expect(queue.read(batch, 1)).toBe(1);
    expect(payloadsOf(batch).map((payload) => payload[0])).toEqual([0]);
    expect(queue.drained).toBe(false);
    expect(queue.read(batch)).toBe(2);
    expect(payloadsOf(batch).map((payload) => payload[0])).toEqual([1, 2]);
    expect(queue.drained).toBe(true);
  });

  test("read() excludes packets() and the other way round", async () => {
    using host = new KernelHost();
    const memory = createPacketMemory({ batch: 1, peers: 16 });
    const batch = batchOf(memory);
    const packets = host.tun.packets();
    const step = packets.next();
    const queue = createTunQueue(host.tun.fd, memory);
    expect(() => queue.read(batch)).toThrow(TypeError);
    expect(queue.write(batch)).toBe(0);
    await packets.return?.();
    await step;
    expect(queue.read(batch)).toBe(0);
    expect(createTunQueue(host.tun.fd, memory).read(batch)).toBe(0);
    expect(() => host.tun.packets()).toThrow(TypeError);
  });

  test("read() works in a worker that did not open the device", async () => {
    using host = new KernelHost();
    const memory = createPacketMemory({ batch: 4, peers: 16 });
    sendDatagram(host.udpSocket(7000), bytes(5, 5));
    await readable(host.tun.fd);
    const source = `
      const { parentPort, workerData } = require("node:worker_threads");
      Promise.all([import(${JSON.stringify(import.meta.resolve("@loden/packet"))}), import(${JSON.stringify(import.meta.resolve("./index.ts"))})])
        .then(([{ attachPacketMemory }, { createTunQueue }]) => {
          const memory = attachPacketMemory(workerData.shared);
          parentPort.postMessage(createTunQueue(workerData.fd, memory).read(memory.queues[0].outbound));
        });`;
    const worker = new Worker(source, {
      eval: true,
      workerData: { fd: host.tun.fd, shared: memory.shared() },
    });
    const count = await new Promise((resolve, reject) => {
      worker.once("message", resolve).once("error", reject);
    });
    await worker.terminate();
    expect(count).toBe(1);
    expect([...payloadOf(memory.queues[0]?.outbound.packet(0) as Uint8Array)]).toEqual([5, 5, 5, 5, 5]);
  });

  test("read() returns -EBADFD and the descriptor polls as an error when the device was deleted", () => {
    using host = new KernelHost();
    const memory = createPacketMemory({ batch: 4, peers: 16 });
    const batch = batchOf(memory);
    const queue = createTunQueue(host.tun.fd, memory);
    host.deleteDevice();
    expect(queue.read(batch)).toBe(-EBADFD);
    expect(batch.count).toBe(0);
    const offset = memory.queues[0]?.scratchOffset as number;
    memory.view.setInt32(offset, host.tun.fd, true);
    memory.view.setInt16(offset + 4, constants.POLLIN, true);
    expect(sys.poll(addressOf(memory.memory) + offset, 1, 0)).toBe(1);
    expect(memory.view.getInt16(offset + 6, true)).toBe(constants.POLLERR);
  });
});

describe("TunQueue.write()", () => {
  test("write() hands packets with verdict pass to the kernel, and leaves the others alone", async () => {
    using host = new KernelHost();
    const socket = host.udpSocket(7000);
    const memory = createPacketMemory({ batch: 16, peers: 16 });
    const batch = batchOf(memory);
    const queue = createTunQueue(host.tun.fd, memory);
    const packet = fc.record({ length: fc.integer({ min: 0, max: 1472 }), dropped: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(packet, { maxLength: 16 }), async (packets) => {
        batch.count = 0;
        packets.forEach(({ length, dropped }, i) => {
          batch.add(udpPacket(7000, bytes(length, i)));
          if (dropped) batch.verdicts[i] = Verdict.noRoute;
        });
        const passing = packets.flatMap(({ length, dropped }, i) => (dropped ? [] : [bytes(length, i)]));
        expect(queue.write(batch)).toBe(passing.length);
        for (const expected of passing) expect(await receive(socket)).toEqual(expected);
        const verdicts = packets.map(({ dropped }) => (dropped ? Verdict.noRoute : Verdict.pass));
        expect([...batch.verdicts.subarray(0, batch.count)]).toEqual(verdicts);
      }),
      { numRuns: 50 },
    );
  });

  test("write() returns packets that read() took, from where they lie", async () => {
    using host = new KernelHost({ mtu: 65_535 });
    const socket = host.udpSocket(9000);
    const memory = createPacketMemory({ batch: 4, peers: 16 });
    const batch = batchOf(memory);
    const queue = createTunQueue(host.tun.fd, memory);
    for (const length of [1, 65_507, 100]) sendDatagram(socket, bytes(length, length));
    await readable(host.tun.fd);
    expect(queue.read(batch)).toBe(3);
    for (let i = 0; i < 3; i += 1) turnAround(batch.packet(i));
    expect(queue.write(batch)).toBe(3);
    for (const length of [1, 65_507, 100]) {
      expect(Buffer.compare(await receive(socket), bytes(length, length))).toBe(0);
    }
  });

  test("write() marks what the kernel refuses, and writes the rest", async () => {
    using host = new KernelHost();
    const socket = host.udpSocket(7000);
    const memory = createPacketMemory({ batch: 4, peers: 16 });
    const batch = batchOf(memory);
    const queue = createTunQueue(host.tun.fd, memory);
    batch.add(udpPacket(7000, bytes(1, 1)));
    batch.add(bytes(40, 0xff));
    batch.add(bytes(0, 0));
    batch.add(udpPacket(7000, bytes(2, 2)));
    expect(queue.write(batch)).toBe(2);
    const { pass, writeFailed } = Verdict;
    expect([...batch.verdicts.subarray(0, 4)]).toEqual([pass, writeFailed, writeFailed, pass]);
    expect(await receive(socket)).toEqual(bytes(1, 1));
    expect(await receive(socket)).toEqual(bytes(2, 2));
  });

  test("write() fails every packet when the device is down", () => {
    using host = new KernelHost();
    const memory = createPacketMemory({ batch: 2, peers: 16 });
    const batch = batchOf(memory);
    const queue = createTunQueue(host.tun.fd, memory);
    host.tun.setUp(false);
    for (let i = 0; i < 2; i += 1) batch.add(udpPacket(7000, bytes(1, i)));
    expect(queue.write(batch)).toBe(0);
    expect([...batch.verdicts.subarray(0, 2)]).toEqual([Verdict.writeFailed, Verdict.writeFailed]);
  });

  test("write() returns -EBADFD and fails every packet when the device was deleted", () => {
    using host = new KernelHost();
    const memory = createPacketMemory({ batch: 2, peers: 16 });
    const batch = batchOf(memory);
    const queue = createTunQueue(host.tun.fd, memory);
    host.deleteDevice();
    for (let i = 0; i < 2; i += 1) batch.add(udpPacket(7000, bytes(1, i)));
    expect(queue.write(batch)).toBe(-EBADFD);
    expect([...batch.verdicts.subarray(0, 2)]).toEqual([Verdict.writeFailed, Verdict.writeFailed]);
  });
});
