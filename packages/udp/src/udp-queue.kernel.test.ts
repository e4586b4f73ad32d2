import { decodeSocketAddress, errno, watchReadable } from "@loden/linux";
import {
  createPacketMemory,
  HEADROOM,
  type PacketBatch,
  type PacketMemory,
  SegmentWord,
  Verdict,
} from "@loden/packet";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addressFromBytes, parseAddress } from "@loden/ip";
import { createUdpQueue } from "./create-udp-queue.ts";
import { addDatagram, KernelHost } from "./kernel-host.fixture.ts";
import type { UdpQueue } from "./udp-queue.ts";
import type { UdpSocket } from "./udp-socket.ts";

const text = (data: string): Uint8Array => new TextEncoder().encode(data);
const nowhere = { address: parseAddress("203.0.113.1"), port: 9 };

/** A batch to send from and one to receive into, in one memory. */
const batches = (memory: PacketMemory): { outbound: PacketBatch; inbound: PacketBatch } => {
  const [queue] = memory.queues;
  if (queue === undefined) throw new Error("a packet memory without queues");
  queue.outbound.count = 0;
  return queue;
};

const packetsOf = (batch: PacketBatch): string[] =>
  Array.from({ length: batch.count }, (_, i) => Buffer.from(batch.packet(i)).toString("latin1"));

const verdictsOf = (batch: PacketBatch): number[] => [...batch.verdicts.subarray(0, batch.count)];

const senderOf = (batch: PacketBatch, i: number): string => {
  const at = batch.endpoints[i] as number;
  const decoded = decodeSocketAddress(batch.bytes.slice(at, at + 28));
  return decoded === undefined ? "none" : `${addressFromBytes(decoded.address).toString()} ${decoded.port}`;
};

/** Waits until something can be received, and receives it. */
const receiveSome = async (socket: UdpSocket, queue: UdpQueue, batch: PacketBatch): Promise<number> => {
  await new Promise<void>((resolve) => {
    const watch = watchReadable(socket.fd, () => {
      watch.close();
      resolve();
    });
  });
  return queue.receive(batch);
};

describe("UdpQueue", () => {
  test.each(["127.0.0.1", "::1"])(
    "send() and receive() move a batch over %s, with the sender's address",
    async (address) => {
      using host = new KernelHost();
      const [here, there] = [host.socket(address), host.socket(address)];
      const memory = createPacketMemory({ batch: 4, peers: 16 });
      const { outbound, inbound } = batches(memory);
      const [sender, receiver] = [createUdpQueue(here.fd, memory), createUdpQueue(there.fd, memory)];
      expect(receiver.receive(inbound)).toBe(0);
      expect(inbound.count).toBe(0);
      for (const data of ["one", "", "three", "x".repeat(1400)]) addDatagram(outbound, text(data), there);
      expect(sender.send(outbound)).toBe(4);
      expect(verdictsOf(outbound)).toEqual([0, 0, 0, 0]);
      expect(await receiveSome(there, receiver, inbound)).toBe(4);
      expect(packetsOf(inbound)).toEqual(["one", "", "three", "x".repeat(1400)]);
      expect(verdictsOf(inbound)).toEqual([0, 0, 0, 0]);
      expect([...inbound.peers.subarray(0, 4)]).toEqual([-1, -1, -1, -1]);
      for (let i = 0; i < 4; i += 1) {
        expect(inbound.offsets[i]).toBe(inbound.slot(i));
        expect(senderOf(inbound, i)).toBe(`${address} ${here.port}`);
      }
      expect(receiver.receive(inbound)).toBe(0);
      expect(inbound.count).toBe(0);
    },
  );

  test("send() answers a received batch in place, and receive() works again after it", async () => {
    using host = new KernelHost();
    const [here, there] = [host.socket(), host.socket()];
    const memory = createPacketMemory({ batch: 8, peers: 16 });
    const { outbound, inbound } = batches(memory);
    const [client, server] = [createUdpQueue(here.fd, memory), createUdpQueue(there.fd, memory)];
    for (let round = 0; round < 3; round += 1) {
      outbound.count = 0;
      for (let i = 0; i <= round; i += 1) addDatagram(outbound, text(`${round}.${i}`), there);
      expect(client.send(outbound)).toBe(round + 1);
      expect(await receiveSome(there, server, inbound)).toBe(round + 1);
      expect(server.send(inbound)).toBe(round + 1);
      expect(await receiveSome(here, client, inbound)).toBe(round + 1);
      expect(packetsOf(inbound)).toEqual(packetsOf(outbound));
      expect(senderOf(inbound, 0)).toBe(`127.0.0.1 ${there.port}`);
    }
  });

  test("send() takes only packets with verdict pass, and receive() gives them in order", () => {
    using host = new KernelHost();
    const [here, there] = [host.socket(), host.socket()];
    const memory = createPacketMemory({ batch: 16, peers: 16 });
    const { outbound, inbound } = batches(memory);
    const [sender, receiver] = [createUdpQueue(here.fd, memory), createUdpQueue(there.fd, memory)];
    const packet = fc.record({ data: fc.uint8Array({ maxLength: 3000 }), dropped: fc.boolean() });
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 16 }), (packets) => {
        outbound.count = 0;
        for (const { data, dropped } of packets) {
          const i = addDatagram(outbound, data, there);
          if (dropped) outbound.verdicts[i] = Verdict.noRoute;
        }
        const passing = packets
          .filter(({ dropped }) => !dropped)
          .map(({ data }) => Buffer.from(data).toString("latin1"));
        expect(sender.send(outbound)).toBe(passing.length);
        expect(verdictsOf(outbound)).toEqual(
          packets.map(({ dropped }) => (dropped ? Verdict.noRoute : Verdict.pass)),
        );
        // Loopback delivers before sendmmsg returns.
        expect(receiver.receive(inbound)).toBe(passing.length);
        expect(packetsOf(inbound)).toEqual(passing);
      }),
    );
  });

  test("receive() leaves what does not fit for the next call", async () => {
    using host = new KernelHost();
    const [here, there] = [host.socket(), host.socket()];
    const memory = createPacketMemory({ batch: 4, peers: 16 });
    const { outbound, inbound } = batches(memory);
    const [sender, receiver] = [createUdpQueue(here.fd, memory), createUdpQueue(there.fd, memory)];
    for (let i = 0; i < 4; i += 1) addDatagram(outbound, text(`${i}`), there);
    sender.send(outbound);
    sender.send(outbound);
    expect(await receiveSome(there, receiver, inbound)).toBe(4);
    expect(receiver.receive(inbound)).toBe(4);
    expect(packetsOf(inbound)).toEqual(["0", "1", "2", "3"]);
    expect(receiver.receive(inbound)).toBe(0);
  });

  test("receive() marks a datagram that was cut, and takes the others as they are", async () => {
    using host = new KernelHost();
    const [here, there] = [host.socket(), host.socket()];
    const memory = createPacketMemory({ batch: 4, peers: 16 });
    const small = createPacketMemory({ batch: 4, slotBytes: 256, peers: 16 });
    const { outbound } = batches(memory);
    const { inbound } = batches(small);
    for (const length of [192, 193, 65_507, 3])
      addDatagram(outbound, new Uint8Array(length).fill(length), there);
    expect(createUdpQueue(here.fd, memory).send(outbound)).toBe(4);
    expect(await receiveSome(there, createUdpQueue(there.fd, small), inbound)).toBe(4);
    expect([...inbound.lengths.subarray(0, 4)]).toEqual([192, 192, 192, 3]);
    expect(verdictsOf(inbound)).toEqual([Verdict.pass, Verdict.badLength, Verdict.badLength, Verdict.pass]);
    expect([...inbound.packet(3)]).toEqual([3, 3, 3]);
  });

  test("send() fails the packets that can't go and sends the rest", async () => {
    using host = new KernelHost();
    const [here, there] = [host.socket(), host.socket()];
    const memory = createPacketMemory({ batch: 8, peers: 16 });
    const { outbound, inbound } = batches(memory);
    addDatagram(outbound, text("first"), there);
    addDatagram(outbound, text("no route"), nowhere);
    addDatagram(outbound, new Uint8Array(65_508), there);
    outbound.endpoints[addDatagram(outbound, text("no endpoint"), there)] = 0;
    addDatagram(outbound, text("port 0"), { address: there.address, port: 0 });
    addDatagram(outbound, text("last"), there);
    expect(createUdpQueue(here.fd, memory).send(outbound)).toBe(2);
    const { pass, sendFailed, tooBig } = Verdict;
    expect(verdictsOf(outbound)).toEqual([pass, sendFailed, tooBig, sendFailed, sendFailed, pass]);
    expect(await receiveSome(there, createUdpQueue(there.fd, memory), inbound)).toBe(2);
    expect(packetsOf(inbound)).toEqual(["first", "last"]);
  });

  test("send() fails every packet when none can go, and does nothing with an empty batch", () => {
    using host = new KernelHost();
    const memory = createPacketMemory({ batch: 3, peers: 16 });
    const { outbound } = batches(memory);
    const queue = createUdpQueue(host.socket().fd, memory);
    expect(queue.send(outbound)).toBe(0);
    for (let i = 0; i < 3; i += 1) addDatagram(outbound, text("lost"), nowhere);
    expect(queue.send(outbound)).toBe(0);
    expect(verdictsOf(outbound)).toEqual([Verdict.sendFailed, Verdict.sendFailed, Verdict.sendFailed]);
  });

  test("receive() goes on over ECONNREFUSED from an earlier datagram, and counts it", async () => {
    using host = new KernelHost();
    const here = host.socket("127.0.0.1", { hearErrors: true });
    const [there, shut] = [host.socket(), host.socket()];
    shut.close();
    const memory = createPacketMemory({ batch: 4, peers: 16 });
    const { outbound, inbound } = batches(memory);
    const [mine, theirs] = [createUdpQueue(here.fd, memory), createUdpQueue(there.fd, memory)];
    addDatagram(outbound, text("answer me"), here);
    expect(theirs.send(outbound)).toBe(1);
    outbound.count = 0;
    addDatagram(outbound, text("refused"), shut);
    expect(mine.send(outbound)).toBe(1);
    // The ICMP message comes back over loopback before sendmmsg returns.
    expect(await receiveSome(here, mine, inbound)).toBe(1);
    expect(packetsOf(inbound)).toEqual(["answer me"]);
    expect(mine.pendingErrors).toBe(1);
    expect(mine.receive(inbound)).toBe(0);
  });

  test("send() does not blame a packet for the ECONNREFUSED of an earlier one", () => {
    using host = new KernelHost();
    const here = host.socket("127.0.0.1", { hearErrors: true });
    const [there, shut] = [host.socket(), host.socket()];
    shut.close();
    const memory = createPacketMemory({ batch: 8, peers: 16 });
    const { outbound } = batches(memory);
    const queue = createUdpQueue(here.fd, memory);
    for (const to of [shut, there, shut, there, shut]) addDatagram(outbound, text("mixed"), to);
    expect(queue.send(outbound)).toBe(5);
    expect(queue.send(outbound)).toBe(5);
    expect(verdictsOf(outbound)).toEqual([0, 0, 0, 0, 0]);
  });

  test("send() fails the rest when the socket's buffer stays full", () => {
    using host = new KernelHost();
    host.addDeafNetwork();
    const socket = host.socket("10.88.0.1", { sendBufferBytes: 4096 });
    const memory = createPacketMemory({ batch: 64, peers: 16 });
    const { outbound } = batches(memory);
    const deaf = { address: parseAddress("10.88.0.2"), port: 9 };
    for (let i = 0; i < 64; i += 1) addDatagram(outbound, new Uint8Array(1000), deaf);
    const sent = createUdpQueue(socket.fd, memory).send(outbound);
    expect(sent).toBeGreaterThan(0);
    expect(sent).toBeLessThan(64);
    const expected = Array.from({ length: 64 }, (_, i) => (i < sent ? Verdict.pass : Verdict.sendFailed));
    expect(verdictsOf(outbound)).toEqual(expected);
  });

  test("receive() gives what the kernel kept when its buffer overran", async () => {
    using host = new KernelHost();
    const [here, there] = [host.socket(), host.socket("127.0.0.1", { receiveBufferBytes: 8192 })];
    const memory = createPacketMemory({ batch: 64, peers: 16 });
    const { outbound, inbound } = batches(memory);
    for (let i = 0; i < 64; i += 1) addDatagram(outbound, new Uint8Array(1000).fill(i), there);
    expect(createUdpQueue(here.fd, memory).send(outbound)).toBe(64);
    const received = await receiveSome(there, createUdpQueue(there.fd, memory), inbound);
    expect(received).toBeGreaterThan(0);
    expect(received).toBeLessThan(64);
    for (let i = 0; i < received; i += 1) expect(inbound.packet(i)[0]).toBe(i);
  });

  test("receive() returns the error when the descriptor is no socket", () => {
    using host = new KernelHost();
    const memory = createPacketMemory({ batch: 1, peers: 16 });
    const queue = createUdpQueue(host.netns.fd, memory);
    expect(queue.receive(batches(memory).inbound)).toBe(-errno.ENOTSOCK);
  });
});

describe.each(["127.0.0.1", "::1"])("UdpQueue with offload on %s", (address) => {
  test("send() and receive() move datagrams of any sizes through messages that the kernel cuts and joins", () => {
    using host = new KernelHost();
    const [here, there] = [host.socket(address, { offload: true }), host.socket(address, { offload: true })];
    expect(here.segmentsPerSend).toBeGreaterThanOrEqual(64);
    expect(there.receivesTrains).toBe(true);
    const memory = createPacketMemory({ batch: 64, peers: 16 });
    const { outbound, inbound } = batches(memory);
    const sender = createUdpQueue(here.fd, memory, { segmentsPerSend: here.segmentsPerSend });
    const receiver = createUdpQueue(there.fd, memory);
    const run = fc.record({
      size: fc.oneof(fc.nat(3000), fc.constantFrom(1, 500, 1472, 9000)),
      count: fc.integer({ min: 1, max: 20 }),
    });
    let trains = 0;
    fc.assert(
      fc.property(fc.array(run, { maxLength: 8 }), fc.nat(255), (runs, seed) => {
        const sizes = runs
          .flatMap(({ size, count }) => Array.from({ length: count }, () => size))
          .slice(0, 64);
        outbound.count = 0;
        const endpoint = outbound.slot(0) - HEADROOM;
        sizes.forEach((size, i) => {
          const packet = addDatagram(outbound, new Uint8Array(size).fill(seed + i), there);
          // One endpoint for all, as peers have: only such datagrams share a message.
          outbound.endpoints[packet] = endpoint;
        });
        const sent = packetsOf(outbound);
        expect(sender.send(outbound)).toBe(sizes.length);
        const received: string[] = [];
        while (receiver.receive(inbound) > 0) {
          received.push(...packetsOf(inbound));
          expect(verdictsOf(inbound).every((verdict) => verdict === Verdict.pass)).toBe(true);
          if (inbound.offsets[1] === (inbound.offsets[0] ?? 0) + (inbound.lengths[0] ?? 0)) trains++;
        }
        expect(received).toEqual(sent);
      }),
    );
    expect(trains).toBeGreaterThan(10);
  });

  test("send() goes datagram by datagram where the kernel does not cut", () => {
    using host = new KernelHost();
    const [here, there] = [host.socket(address), host.socket(address)];
    const memory = createPacketMemory({ batch: 8, peers: 16 });
    const { outbound, inbound } = batches(memory);
    // Datagrams longer than the path takes have to be fragmented, and only whole ones are: the kernel refuses to cut.
    const sender = createUdpQueue(here.fd, memory, { segmentsPerSend: 8 });
    for (let i = 0; i < 8; i += 1) {
      addDatagram(outbound, new Uint8Array(60_000 / 8).fill(i), there);
      outbound.endpoints[i] = outbound.slot(0) - HEADROOM;
    }
    host.setLoopbackMtu(4000);
    expect(sender.send(outbound)).toBe(8);
    expect(createUdpQueue(there.fd, memory).receive(inbound)).toBe(8);
    expect(packetsOf(inbound)).toEqual(packetsOf(outbound));
  });

  test("send() gives tooBig with dontFragment when a datagram is longer than its path takes, but where it may be fragmented", () => {
    using host = new KernelHost();
    const options = { offload: true, dontFragment: true };
    const [here, there] = [host.socket(address, options), host.socket(address, options)];
    const memory = createPacketMemory({ batch: 8, peers: 16 });
    const { outbound, inbound } = batches(memory);
    const { segmentsPerSend } = here;
    // The odd ones may; only they come.
    const mayFragment = ({ bytes, segments }: PacketBatch, segment: number): boolean =>
      (bytes[segments[segment * SegmentWord.count] as number] ?? 0) % 2 === 1;
    const sender = createUdpQueue(here.fd, memory, { segmentsPerSend, mayFragment });
    host.setLoopbackMtu(1500);
    const longest = 1500 - (address === "::1" ? 48 : 28);
    [longest + 1, longest, longest + 1, longest + 1, 9000, longest].forEach((size, i) => {
      outbound.endpoints[addDatagram(outbound, new Uint8Array(size).fill(i), there)] =
        outbound.slot(0) - HEADROOM;
    });
    expect(sender.send(outbound)).toBe(3);
    const { pass, tooBig } = Verdict;
    expect(verdictsOf(outbound)).toEqual([tooBig, pass, tooBig, pass, tooBig, pass]);
    const arrived: string[] = [];
    const receiver = createUdpQueue(there.fd, memory);
    while (receiver.receive(inbound) > 0) arrived.push(...packetsOf(inbound));
    expect(arrived.map((packet) => [packet.charCodeAt(0), packet.length])).toEqual([
      [1, longest],
      [3, longest + 1],
      [5, longest],
    ]);
  });
});

describe.each(["127.0.0.1", "::1"])("UdpQueue that hears errors on %s", (address) => {
  const hearErrors = true;

  test("receiveErrors() gives a datagram that was refused, with its destination", () => {
    using host = new KernelHost();
    const [here, shut] = [host.socket(address, { hearErrors }), host.socket(address)];
    shut.close();
    const memory = createPacketMemory({ batch: 4, peers: 16 });
    const { outbound, inbound } = batches(memory);
    const queue = createUdpQueue(here.fd, memory);
    addDatagram(outbound, text("nobody hears this"), shut);
    expect(queue.send(outbound)).toBe(1);
    expect(queue.receive(inbound)).toBe(0);
    expect(queue.hasErrors).toBe(true);
    expect(queue.receiveErrors(inbound)).toBe(1);
    expect(packetsOf(inbound)).toEqual(["nobody hears this"]);
    expect(senderOf(inbound, 0)).toBe(`${address} ${shut.port}`);
    expect(verdictsOf(inbound)).toEqual([Verdict.sendFailed]);
    expect(queue.hasErrors).toBe(false);
    expect(queue.receiveErrors(inbound)).toBe(0);
    expect(inbound.count).toBe(0);
  });

  test("receiveErrors() does not tell again what the kernel refused to send", () => {
    using host = new KernelHost();
    const here = host.socket(address, { hearErrors, dontFragment: true });
    const memory = createPacketMemory({ batch: 4, peers: 16 });
    const { outbound, inbound } = batches(memory);
    const queue = createUdpQueue(here.fd, memory);
    host.setLoopbackMtu(1500);
    addDatagram(outbound, new Uint8Array(2000), here);
    expect(queue.send(outbound)).toBe(0);
    expect(verdictsOf(outbound)).toEqual([Verdict.tooBig]);
    expect(queue.hasErrors).toBe(true);
    expect(queue.receiveErrors(inbound)).toBeGreaterThan(0);
    expect(new Set(verdictsOf(inbound))).toEqual(new Set([Verdict.sendFailed]));
  });

  test("send() fails what the device's queue drops, and does not send it again", () => {
    using host = new KernelHost();
    const here = host.socket(address, { hearErrors, offload: true });
    const memory = createPacketMemory({ batch: 8, peers: 16 });
    const { outbound } = batches(memory);
    const { segmentsPerSend } = here;
    const queue = createUdpQueue(here.fd, memory, { segmentsPerSend });
    for (let i = 0; i < 8; i += 1) {
      addDatagram(outbound, new Uint8Array(1000), here);
      outbound.endpoints[i] = outbound.slot(0) - HEADROOM;
    }
    host.fillLoopbackQueue();
    expect(queue.send(outbound)).toBe(0);
    expect(verdictsOf(outbound)).toEqual(Array.from({ length: 8 }, () => Verdict.sendFailed));
    expect(host.droppedByLoopback).toBe(1);
  });
});
