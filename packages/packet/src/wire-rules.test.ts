// The rules of flannel's UDP mode, vector by vector: tunnel address 10.5.34.0, own subnet 10.5.34.0/24, MTU 1472, one peer
// 10.5.99.0/24 at 192.168.0.2:8285. Where flannel is defective, the vector asserts what is done instead and what is counted.
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
  type DropReason,
  encodeIpv4,
  type Ipv4Fields,
  type PacketMemory,
  type PacketQueue,
  parseIcmp,
  parseIpv4,
  readCounters,
  routeToPeers,
} from "./index.ts";

const peer = { network: 0x0a056300, prefixLength: 24, endpointAddress: 0xc0a80002, endpointPort: 8285 };
const offender = "4500001c000000004011e1c40a0522020a0563010000000000000000";

describe("outbound", () => {
  test("a routed packet leaves with its TTL decremented, to the peer's endpoint", () => {
    const { sent, endpoints } = outbound([offender]);
    expect(sent).toEqual(["4500001c000000003f11e2c40a0522020a0563010000000000000000"]);
    expect(endpoints).toEqual(["0200205dc0a80002"]);
  });

  test("a packet without a route is answered with net unreachable, quoted unchanged", () => {
    const { sent, answers, drops } = outbound([offender], { peers: [] });
    expect(sent).toEqual([]);
    expect(answers).toEqual([`450000380000000008015aba0a0522000a0522020300fcff00000000${offender}`]);
    expect(drops).toEqual({ noRoute: 1 });
  });

  test("the ICMP checksum covers the quote", () => {
    const other = "4500001c000100004011e1c30a0522020a0563011388138900080000";
    const { answers } = outbound([other], { peers: [] });
    expect(answers).toEqual([`450000380000000008015aba0a0522000a0522020300d5e600000000${other}`]);
  });

  test("a routed packet with TTL 1 or 0 is answered with time exceeded (flannel: nothing; 255)", () => {
    for (const ttl of [1, 0]) {
      const packet = hex(encodeIpv4({ ...udp, ttl }));
      const { sent, answers, drops } = outbound([packet]);
      expect(sent).toEqual([]);
      expect(answers.map(icmpOf)).toEqual([{ type: 11, code: 0, quote: packet, sequence: 0 }]);
      expect(drops).toEqual({ ttlExpired: 1 });
    }
  });

  test("a packet with TTL 1 without a route is answered with net unreachable: lookup comes first", () => {
    const packet = hex(encodeIpv4({ ...udp, ttl: 1 }));
    const { answers, drops } = outbound([packet], { peers: [] });
    expect(answers.map(icmpOf)).toEqual([{ type: 3, code: 0, quote: packet, sequence: 0 }]);
    expect(drops).toEqual({ noRoute: 1 });
  });

  test("a packet beyond the MTU is answered with fragmentation needed and our MTU", () => {
    const packet = encodeIpv4({ ...udp, dontFragment: true, payload: new Uint8Array(1453) });
    const { answers, drops } = outbound([hex(packet)]);
    // Sizes are checked before the TTL goes down, so that the quote is what the sender sent.
    expect(answers.map(icmpOf)).toEqual([
      { type: 3, code: 4, quote: hex(packet.subarray(0, 28)), sequence: 1472 },
    ]);
    expect(drops).toEqual({ tooBig: 1 });
    expect(outbound([hex(encodeIpv4({ ...udp, payload: new Uint8Array(1452) }))]).drops).toEqual({});
  });

  test("header lengths: 56 bytes are quoted in 92, 60 bytes get no answer", () => {
    const long = encodeIpv4({ ...udp, options: new Uint8Array(36).fill(1) });
    const longest = encodeIpv4({ ...udp, options: new Uint8Array(40).fill(1) });
    const answers = outbound([hex(long), hex(longest)], { peers: [] }).answers;
    expect(answers.map((answer) => answer.length / 2)).toEqual([92]);
    expect(answers.map(icmpOf)).toMatchObject([{ quote: hex(long.subarray(0, 64)) }]);
  });

  test("ICMP of any type, fragments but the first, and improper addresses get no answer", () => {
    const silent: Partial<Ipv4Fields>[] = [
      { protocol: 1 },
      { fragmentOffset: 8 },
      { fragmentOffset: 8, moreFragments: true },
      { destination: 0xe000_0001 },
      { destination: 0xffff_ffff },
      { source: 0 },
      { source: 0x7f00_0001 },
      { source: 0xe000_0001 },
      { source: 0xffff_ffff },
    ];
    for (const fields of silent) {
      const { answers, drops, counters } = outbound([hex(encodeIpv4({ ...udp, ...fields }))], { peers: [] });
      expect({ fields, answers }).toEqual({ fields, answers: [] });
      expect(drops).toEqual({ noRoute: 1 });
      expect(counters).toMatchObject({ icmpSent: 0, icmpSuppressed: 0 });
    }
  });

  test("a reserved destination (240/4) is answered like any other without a route", () => {
    const { answers } = outbound([hex(encodeIpv4({ ...udp, destination: 0xf000_0001 }))], { peers: [] });
    expect(answers.map(icmpOf)).toMatchObject([{ type: 3, code: 0 }]);
  });

  test("a first fragment is answered, in 56 bytes", () => {
    const { answers } = outbound([hex(encodeIpv4({ ...udp, moreFragments: true }))], { peers: [] });
    expect(answers.map((answer) => answer.length / 2)).toEqual([56]);
  });

  test("only what exists of a short packet is quoted", () => {
    for (const bytes of [0, 1, 5, 7]) {
      const packet = hex(encodeIpv4({ ...udp, payload: new Uint8Array(bytes).fill(0xab) }));
      const { answers } = outbound([packet], { peers: [] });
      expect(answers.map(icmpOf)).toEqual([{ type: 3, code: 0, quote: packet, sequence: 0 }]);
    }
  });

  test("a frame longer or shorter than its total length is dropped", () => {
    const packet = hex(encodeIpv4({ ...udp, payload: new Uint8Array(20) }));
    expect(outbound([`${packet}00`]).drops).toEqual({ badLength: 1 });
    expect(outbound([packet.slice(0, -2)]).drops).toEqual({ badLength: 1 });
  });

  test("a router solicitation has no route and is not answered", () => {
    const solicitation = `6000000000083aff${"fe80".padEnd(32, "0")}ff02${"2".padStart(28, "0")}85007bb800000000`;
    expect(outbound([solicitation])).toMatchObject({ sent: [], answers: [], drops: { noRoute: 1 } });
  });

  test("the longest prefix wins, in whatever order peers were set (flannel: the first, and it changes)", () => {
    const wide = { ...peer, network: 0x0a050000, prefixLength: 16, endpointAddress: 0xc0a80003 };
    for (const peers of [
      [peer, wide],
      [wide, peer],
    ]) {
      const elsewhere = hex(encodeIpv4({ ...udp, destination: 0x0a056401 }));
      const { endpoints } = outbound([offender, elsewhere, offender, elsewhere, offender], { peers });
      const [narrow, other] = ["0200205dc0a80002", "0200205dc0a80003"];
      expect(endpoints).toEqual([narrow, other, narrow, other, narrow]);
    }
  });
});

describe("inbound", () => {
  const packet = "4500001c000000004011e1c40a0563010a0522020000000000000000";
  const from = { ...udp, source: 0x0a056301, destination: 0x0a052202 } as const;

  test("a packet of a peer is written with its TTL decremented", () => {
    const { sent, drops } = inbound([packet]);
    expect(sent).toEqual(["4500001c000000003f11e2c40a0563010a0522020000000000000000"]);
    expect(drops).toEqual({});
  });

  test("datagrams of 0 and 19 bytes are dropped as tooShort", () => {
    expect(inbound(["", packet.slice(0, 38)]).drops).toEqual({ tooShort: 2 });
  });

  test("40 bytes of 0xff are dropped as badVersion (flannel: written)", () => {
    expect(inbound(["ff".repeat(40)])).toMatchObject({ sent: [], drops: { badVersion: 1 } });
  });

  test("2,000 bytes pass whole when that is their total length, and are dropped when it isn't (flannel: cut to 1,472)", () => {
    const whole = encodeIpv4({ ...from, payload: new Uint8Array(1980) });
    expect(inbound([hex(whole)]).sent.map((sent) => sent.length / 2)).toEqual([2000]);
    new DataView(whole.buffer).setUint16(2, 1472);
    expect(inbound([hex(whole)])).toMatchObject({ sent: [], drops: { badLength: 1 } });
  });

  test("a header length below 20 or beyond the packet is dropped as badLength", () => {
    expect(inbound([`44${packet.slice(2)}`, `48${packet.slice(2)}`]).drops).toEqual({ badLength: 2 });
  });

  test("IPv6 that no peer has is dropped as foreignSource", () => {
    expect(inbound([`60${"00".repeat(39)}`]).drops).toEqual({ foreignSource: 1 });
  });

  test("a datagram from an address that no peer has is dropped, unless the setting admits any", () => {
    expect(inbound([packet], { sender: 0xc0a80009 }).drops).toEqual({ unknownSender: 1 });
    expect(inbound([packet], { sender: undefined }).drops).toEqual({ unknownSender: 1 });
    expect(inbound([packet], { sender: 0xc0a80009, peerSource: "any" }).sent.length).toBe(1);
    expect(inbound([packet], { sender: undefined, peerSource: "any" }).sent.length).toBe(1);
  });

  test("an inner source outside the sender's subnets is dropped as foreignSource", () => {
    const stranger = hex(encodeIpv4({ ...from, source: 0x0a056401 }));
    expect(inbound([stranger]).drops).toEqual({ foreignSource: 1 });
    expect(inbound([stranger], { peerSource: "any" }).drops).toEqual({ foreignSource: 1 });
    // in the subnet of another peer
    const other = { ...peer, network: 0x0a056400, endpointAddress: 0xc0a80003 };
    expect(inbound([stranger], { peers: [peer, other] }).drops).toEqual({ foreignSource: 1 });
    expect(inbound([stranger], { peers: [peer, other], sender: 0xc0a80003 }).drops).toEqual({});
  });

  test("an inner destination outside our subnet is dropped, without an answer", () => {
    const beyond = hex(encodeIpv4({ ...from, destination: 0x08080808 }));
    expect(inbound([beyond])).toMatchObject({ sent: [], answers: [], drops: { foreignDestination: 1 } });
  });

  test("TTL 1 is answered to the endpoint of the peer, whatever port it sent from", () => {
    const expired = hex(encodeIpv4({ ...from, ttl: 1 }));
    const { answers, answerEndpoints } = inbound([expired], { port: 40_000 });
    expect(answers.map(icmpOf)).toEqual([{ type: 11, code: 0, quote: expired, sequence: 0 }]);
    expect(answers.map((answer) => parseIpv4(unhex(answer)).destination)).toEqual([from.source]);
    expect(answerEndpoints).toEqual(["0200205dc0a80002"]);
  });
});

const udp = {
  source: 0x0a052202,
  destination: 0x0a056301,
  protocol: 17,
  payload: new Uint8Array(8),
} as const;

interface Outcome {
  readonly sent: string[];
  readonly endpoints: string[];
  readonly answers: string[];
  readonly answerEndpoints: string[];
  readonly drops: Partial<Record<DropReason, number>>;
  readonly counters: ReturnType<typeof readCounters>;
}

function outbound(packets: string[], { peers = [peer] } = {}): Outcome {
  const { memory, queue } = open(peers);
  for (const packet of packets) queue.outbound.add(unhex(packet));
  queue.enter();
  checkPackets(queue.outbound);
  routeToPeers(queue.outbound, memory.peers);
  checkSizes(queue.outbound, memory.local.mtu);
  decrementTtl(queue.outbound);
  return finish(memory, queue, "outbound");
}

interface Sender {
  readonly peers?: (typeof peer)[];
  readonly sender?: number | undefined;
  readonly port?: number;
  readonly peerSource?: "strict" | "any";
}

function inbound(packets: string[], options: Sender = {}): Outcome {
  const { peers = [peer], sender = peer.endpointAddress, port = 8285, peerSource = "strict" } = options;
  const { memory, queue } = open(peers);
  const batch = queue.inbound;
  for (const packet of packets) {
    const i = batch.add(unhex(packet));
    if ("sender" in options && options.sender === undefined) continue;
    const name = batch.namesOffset + 32 * i;
    memory.view.setUint16(name, 2, true);
    memory.view.setUint16(name + 2, port, false);
    memory.view.setUint32(name + 4, sender, false);
    batch.endpoints[i] = name;
  }
  queue.enter();
  checkPackets(batch);
  checkSenders(batch, memory.peers, peerSource);
  checkDestinations(batch, memory.local);
  decrementTtl(batch);
  return finish(memory, queue, "inbound");
}

function open(peers: (typeof peer)[]): { memory: PacketMemory; queue: PacketQueue } {
  const memory = createPacketMemory({ batch: 8, slotBytes: 4096, peers: 16 });
  const [queue] = memory.queues;
  if (queue === undefined) throw new Error("no queue");
  for (const entry of peers) memory.peers.set(entry);
  memory.local.set({ network: 0x0a052200, prefixLength: 24, address: 0x0a052200, mtu: 1472 });
  return { memory, queue };
}

function finish(memory: PacketMemory, queue: PacketQueue, direction: "outbound" | "inbound"): Outcome {
  const batch = queue[direction];
  answerErrors(batch, queue.replies, memory.local, queue.limiter, () => 0);
  countBatch(batch, queue.counters, direction);
  const counters = readCounters(memory);
  const passed = Array.from({ length: batch.count }, (_, i) => i).filter((i) => batch.verdicts[i] === 0);
  const sockaddr = (at: number | undefined): string =>
    at === undefined || at === 0 ? "" : hex(memory.bytes.subarray(at, at + 8));
  const replies = Array.from({ length: queue.replies.count }, (_, i) => i);
  const outcome = {
    sent: passed.map((i) => hex(batch.packet(i))),
    endpoints: passed.map((i) => sockaddr(batch.endpoints[i])),
    answers: replies.map((i) => hex(queue.replies.packet(i))),
    answerEndpoints: replies.map((i) => sockaddr(queue.replies.endpoints[i])),
    drops: Object.fromEntries(Object.entries(counters[direction].dropped).filter(([, count]) => count > 0)),
    counters,
  };
  expect(counters[direction].packets).toBe(passed.length);
  expect(counters[direction].bytes).toBe(outcome.sent.join("").length / 2);
  expect(counters.icmpSent).toBe(replies.length);
  queue.leave();
  return outcome;
}

function icmpOf(answer: string): { type: number; code: number; quote: string; sequence: number } {
  const packet = parseIpv4(unhex(answer));
  expect(packet).toMatchObject({
    source: 0x0a052200,
    ttl: 8,
    tos: 0,
    id: 0,
    protocol: 1,
    checksumValid: true,
  });
  const { type, code, payload, sequence, checksumValid } = parseIcmp(packet.payload);
  expect(checksumValid).toBe(true);
  return { type, code, quote: hex(payload), sequence };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function unhex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "hex"));
}
