import { constants, setSocketOption } from "@loden/linux";
import { createPacketMemory, kernelsOf, type PacketBatch, type PacketMemory } from "@loden/packet";
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
} from "./kernel-host.ts";

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
