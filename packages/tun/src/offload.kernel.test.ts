import { readFileSync } from "node:fs";
import { constants, setSocketOption } from "@loden/linux";
import {
  checksum as sumOf,
  createPacketMemory,
  encodeIpv4,
  encodeIpv6,
  encodeUdp,
  kernelsOf,
  type PacketBatch,
  type PacketMemory,
  pseudoHeaderSum,
} from "@loden/packet";
import { describe, expect, test } from "vitest";
import { createTunQueue } from "./create-tun-queue.ts";
import {
  checksum,
  KernelHost,
  payloadOf,
  readable,
  receive,
  sendDatagram,
  udpPacket,
} from "./kernel-host.fixture.ts";

// include/uapi/linux/udp.h
const UDP_SEGMENT = 103;

const bytes = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 13 + seed) & 255);

const outboundOf = (memory: PacketMemory): PacketBatch => {
  const [queue] = memory.queues;
  if (queue === undefined) throw new Error("a packet memory without queues");
  return queue.outbound;
};

/** What goes on the wire: the segments of a batch, as owned packets. */
function segmentsOf(memory: PacketMemory, batch: PacketBatch): Uint8Array[] {
  const kernels = kernelsOf(memory);
  const packets: Uint8Array[] = [];
  for (let next = 0; next < batch.count;) {
    next = kernels.segmentPackets(batch, next);
    for (let word = 0; word < batch.segmentCount * 8; word += 8) {
      const [header = 0, headerLength = 0, payload = 0, payloadLength = 0] = batch.segments.subarray(word);
      packets.push(
        Uint8Array.from([
          ...memory.bytes.slice(header, header + headerLength),
          ...memory.bytes.slice(payload, payload + payloadLength),
        ]),
      );
    }
  }
  return packets;
}

/** A UDP packet with a right checksum and an id, as a host sends it. */
function numberedPacket(port: number, payload: Uint8Array, id: number): Uint8Array {
  const packet = udpPacket(port, payload);
  const view = new DataView(packet.buffer);
  view.setUint16(4, id);
  view.setUint16(10, 0);
  view.setUint16(10, checksum(packet.subarray(0, 20)));
  view.setUint16(26, udpSum(packet) || 0xffff);
  return packet;
}

/** Packet `i` of a flow of UDP datagrams or TCP segments to the host, all of one size, as their sender makes them. */
function flowPacket(family: 4 | 6, protocol: 6 | 17, i: number, payload: Uint8Array): Uint8Array {
  const [source, destination] =
    family === 4 ? [0x0a4d_0002, 0x0a4d_0001] : [(0xfd77n << 112n) + 2n, (0xfd77n << 112n) + 1n];
  const ends = { source, destination };
  const inner =
    protocol === 17
      ? encodeUdp({ ...ends, sourcePort: 9, destinationPort: 7000, payload })
      : tcpSegment(ends, i * payload.length, payload);
  if (typeof source === "number" && typeof destination === "number")
    return encodeIpv4({ source, destination, protocol, id: i, payload: inner });
  return encodeIpv6({
    source: BigInt(source),
    destination: BigInt(destination),
    nextHeader: protocol,
    payload: inner,
  });
}

function tcpSegment(
  { source, destination }: { source: number | bigint; destination: number | bigint },
  sequence: number,
  payload: Uint8Array,
): Uint8Array {
  const segment = Uint8Array.from([...new Uint8Array(20), ...payload]);
  const view = new DataView(segment.buffer);
  view.setUint16(2, 7000);
  view.setUint32(4, sequence);
  segment.set([5 << 4, 0x10], 12);
  const pseudoSum = pseudoHeaderSum(source, destination, 6, segment.length);
  view.setUint16(16, sumOf(segment, 0, segment.length, pseudoSum));
  return segment;
}

/** How many frames were written to the device so far, joined ones as one. */
function framesOf({ netns, tun }: KernelHost): number {
  const table = netns.run(() => readFileSync("/proc/thread-self/net/dev", "utf8"));
  const row = table.split("\n").find((line) => line.trim().startsWith(`${tun.name}:`));
  return Number(row?.trim().split(/\s+/)[2]);
}

/** The checksum over a UDP packet's datagram and pseudo header. */
function udpSum(packet: Uint8Array): number {
  const datagram = packet.subarray(20);
  const pseudo = [...packet.subarray(12, 20), 0, 17, datagram.length >> 8, datagram.length & 255];
  return checksum(Uint8Array.from([...pseudo, ...datagram]));
}

describe("openTun() with offload", () => {
  test("a device says what it was granted, and is for batches alone", () => {
    using host = new KernelHost({ offload: true });
    expect(host.tun.offloads).toMatchObject({ checksum: true, tcp: true });
    expect(() => host.tun.packets()).toThrow(TypeError);
    expect(() => host.tun.send(udpPacket(7000, bytes(1, 1)))).toThrow(/it was opened with offload/);
    using plain = new KernelHost();
    expect(plain.tun.offloads).toBeUndefined();
  });

  test("read() takes datagrams of one message as one packet, and segmentPackets() cuts it into what was sent", async () => {
    using host = new KernelHost({ offload: true });
    const socket = host.udpSocket(7000);
    const memory = createPacketMemory({ batch: 8, peers: 16 });
    const batch = outboundOf(memory);
    const queue = createTunQueue(host.tun.fd, memory, { offloads: host.tun.offloads });
    setSocketOption(socket, constants.SOL_UDP, UDP_SEGMENT, 1000);
    const sent = bytes(20_500, 3);
    sendDatagram(socket, sent);
    sendDatagram(socket, bytes(10, 1));
    await readable(host.tun.fd);
    expect(queue.read(batch)).toBe(host.tun.offloads?.udp === true ? 2 : 22);
    expect(queue.drained).toBe(true);
    const packets = segmentsOf(memory, batch);
    expect(packets.map((packet) => packet.length - 28)).toEqual([
      ...Array.from({ length: 20 }, () => 1000),
      500,
      10,
    ]);
    expect(Buffer.concat(packets.slice(0, 21).map((packet) => payloadOf(packet)))).toEqual(Buffer.from(sent));
    // A stretch that contains its own right checksum gives 0.
    for (const packet of packets) expect(udpSum(packet)).toBe(0);
  });

  test("write() joins no more small datagrams than the kernel takes", async () => {
    using host = new KernelHost({ offload: true });
    const socket = host.udpSocket(7000);
    const memory = createPacketMemory({ batch: 256, peers: 16 });
    const batch = outboundOf(memory);
    const queue = createTunQueue(host.tun.fd, memory, { offloads: host.tun.offloads });
    for (let i = 0; i < 200; i += 1) batch.add(numberedPacket(7000, bytes(20, i), i));
    expect(queue.write(batch)).toBe(200);
    for (let i = 0; i < 200; i += 1) expect(await receive(socket)).toEqual(bytes(20, i));
  });

  test.each([4, 6] as const)(
    "write() joins TCP packets of IPv%d after more datagrams than the kernel takes as one",
    (family) => {
      using host = new KernelHost({ offload: true });
      const memory = createPacketMemory({ batch: 256, peers: 16 });
      const batch = outboundOf(memory);
      const queue = createTunQueue(host.tun.fd, memory, { offloads: host.tun.offloads });
      for (let i = 0; i < 200; i += 1) batch.add(flowPacket(family, 17, i, bytes(20, i)));
      for (let i = 0; i < 40; i += 1) batch.add(flowPacket(family, 6, i, bytes(1000, i)));
      const before = framesOf(host);
      expect(queue.write(batch)).toBe(240);
      // Four frames of at most 64 datagrams, and one of TCP.
      expect(framesOf(host) - before).toBe(host.tun.offloads?.udp === true ? 5 : 201);
    },
  );

  test("write() joins datagrams of one flow, and the socket receives each of them", async () => {
    using host = new KernelHost({ offload: true });
    const socket = host.udpSocket(7000);
    const memory = createPacketMemory({ batch: 64, peers: 16 });
    const batch = outboundOf(memory);
    const queue = createTunQueue(host.tun.fd, memory, { offloads: host.tun.offloads });
    const sizes = [...Array.from({ length: 30 }, () => 900), 500, 64, 64, 64, 1200];
    sizes.forEach((size, i) => batch.add(numberedPacket(7000, bytes(size, i), 0xfff0 + i)));
    // One that no host may take for checked: its checksum is wrong.
    const wrong = numberedPacket(7000, bytes(900, 77), 5);
    wrong[40] = (wrong[40] ?? 0) ^ 1;
    batch.add(wrong);
    batch.add(numberedPacket(7000, bytes(3, 99), 6));
    expect(queue.write(batch)).toBe(sizes.length + 2);
    for (const [i, size] of sizes.entries()) expect(await receive(socket)).toEqual(bytes(size, i));
    expect(await receive(socket)).toEqual(bytes(3, 99));
  });
});
