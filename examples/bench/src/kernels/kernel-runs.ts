import {
  checkDestinations,
  checkPackets,
  checkSenders,
  checkSizes,
  checksum,
  countBatch,
  createPacketMemory,
  decrementTtl,
  encodeIpv4,
  encodeVirtioHeader,
  Join,
  joinPackets,
  kernelsOf,
  type PacketBatch,
  type PacketQueue,
  routeToPeers,
  segmentPacket,
  type VirtioHeader,
} from "@loden/packet";

const VIRTIO_BYTES = 10;
const PAYLOAD = 1420;
const PACKETS = 44;
const COPIED = 65_536;
const SOURCE = 0x0a05_0107;
const DESTINATION = 0x0a05_0207;

/** Something that is measured: what a kernel does, and what its model in TypeScript does. */
export interface KernelRun {
  readonly name: string;
  /** Bytes of packets that one run goes over. */
  readonly bytes: number;
  /** Makes things as they were before a run; not measured. */
  readonly prepare: () => void;
  readonly kernel: () => void;
  /** Absent where the kernel fills in what system calls read, which has no model. */
  readonly model?: () => void;
}

/**
 * Makes a run for each kernel, over 44 TCP packets of a tunnel's size, or the one super-packet that they are of; and `memcpy`, which copies 64 KiB.
 */
export function createKernelRuns(): readonly KernelRun[] {
  const memory = createPacketMemory({ peers: 16 });
  const { bytes, peers, local } = memory;
  const kernels = kernelsOf(memory);
  const { inbound, outbound, counters } = memory.queues[0] as PacketQueue;
  peers.set({ network: 0x0a05_0200, prefixLength: 24, endpointAddress: 0xc000_0202, endpointPort: 8285 });
  peers.set({ network: 0x0a05_0100, prefixLength: 24, endpointAddress: 0xc000_0201, endpointPort: 8285 });
  local.set({ network: 0x0a05_0200, prefixLength: 24, address: 0x0a05_0200, mtu: 1472 });
  const virtio = superHeader();
  const whole = superPacket();
  const packets = segmentPacket(whole, virtio) ?? [];
  const total = packets.reduce((sum, { length }) => sum + length, 0);

  const fillOutbound = (): void => {
    outbound.count = 0;
    outbound.add(whole);
    outbound.virtio[0] = outbound.slot(0) - VIRTIO_BYTES;
    bytes.set(encodeVirtioHeader(virtio), outbound.slot(0) - VIRTIO_BYTES);
    outbound.endpoints[0] = peers.sockaddrOffset(0);
  };
  const fillInbound = (): void => {
    inbound.count = 0;
    inbound.frameNext = 0;
    for (const packet of packets) inbound.add(packet);
    inbound.endpoints.fill(peers.sockaddrOffset(peers.find(SOURCE)), 0, packets.length);
  };
  fillOutbound();
  fillInbound();
  const stage = (
    name: string,
    kernel: (batch: PacketBatch) => void,
    model: (batch: PacketBatch) => void,
  ): KernelRun => ({
    name,
    bytes: total,
    prepare: fillInbound,
    kernel: () => kernel(inbound),
    model: () => model(inbound),
  });
  return [
    {
      name: "memcpy",
      bytes: COPIED,
      prepare: () => undefined,
      kernel: () => void bytes.copyWithin(inbound.slot(50), inbound.slot(40), inbound.slot(40) + COPIED),
    },
    {
      name: "checksum",
      bytes: whole.length,
      prepare: () => undefined,
      kernel: () => void kernels.checksum(outbound.slot(0), whole.length),
      model: () => void checksum(bytes, outbound.slot(0), whole.length),
    },
    {
      name: "segmentPackets",
      bytes: total,
      prepare: fillOutbound,
      kernel: () => void kernels.segmentPackets(outbound, 0),
      model: () => void segmentPacket(whole, virtio),
    },
    {
      name: "gatherMessages",
      bytes: total,
      prepare: () => void kernels.segmentPackets(outbound, 0),
      kernel: () => void kernels.gatherMessages(outbound, 0, outbound.segmentCount, 64),
    },
    {
      name: "nextFrame",
      bytes: total,
      prepare: fillInbound,
      kernel: () => {
        while (kernels.nextFrame(inbound, Join.virtio | Join.tcp | Join.udp) > 0);
      },
      model: () => void joinPackets(packets, { tcp: true, udp: true }),
    },
    stage("checkPackets", (batch) => kernels.checkPackets(batch), checkPackets),
    stage(
      "routeToPeers",
      (batch) => kernels.routeToPeers(batch, peers),
      (batch) => routeToPeers(batch, peers),
    ),
    stage(
      "checkSizes",
      (batch) => kernels.checkSizes(batch, 1472),
      (batch) => checkSizes(batch, 1472),
    ),
    stage("decrementTtl", (batch) => kernels.decrementTtl(batch), decrementTtl),
    stage(
      "checkSenders",
      (batch) => kernels.checkSenders(batch, peers, "strict"),
      (batch) => checkSenders(batch, peers, "strict"),
    ),
    stage(
      "checkDestinations",
      (batch) => kernels.checkDestinations(batch, local),
      (batch) => checkDestinations(batch, local),
    ),
    stage(
      "countBatch",
      (batch) => void kernels.countBatch(batch, counters, "inbound"),
      (batch) => countBatch(batch, counters, "inbound"),
    ),
  ];
}

function superHeader(): VirtioHeader {
  return {
    needsChecksum: true,
    kind: "tcp4",
    hasCwr: false,
    headerLength: 40,
    segmentSize: PAYLOAD,
    checksumStart: 20,
    checksumOffset: 16,
  };
}

function superPacket(): Uint8Array {
  const payload = Uint8Array.from({ length: 20 + PACKETS * PAYLOAD }, (_, i) => (i < 20 ? 0 : i * 7));
  const view = new DataView(payload.buffer);
  view.setUint16(0, 40_000);
  view.setUint16(2, 5001);
  view.setUint32(4, 1);
  payload[12] = 0x50;
  payload[13] = 0x10;
  view.setUint16(14, 500);
  return encodeIpv4({ source: SOURCE, destination: DESTINATION, protocol: 6, payload });
}
