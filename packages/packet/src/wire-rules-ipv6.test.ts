// The rules for inner IPv6 packets: tunnel address fd00:5:0:22::, own subnet of it /64, MTU 1472, one peer fd00:5:0:63::/64 at
// [2001:db8::2]:8285. flannel's UDP mode carries none; what is not told here is as for IPv4.
import { describe, expect, test } from "vitest";
import {
  answerErrors,
  checkDestinations,
  checkPackets,
  checkSenders,
  checkSizes,
  createPacketMemory,
  decrementTtl,
  type DropReason,
  dropReasons,
  encodeIcmpEcho,
  encodeIpv6,
  encodeUdp,
  type Ipv6Fields,
  type PacketBatch,
  type PacketMemory,
  type PacketQueue,
  parseIcmp,
  parseIpv6,
  routeToPeers,
} from "./index.ts";

const own = 0xfd00_0005_0000_0022n << 64n;
const theirs = 0xfd00_0005_0000_0063n << 64n;
const endpoint = (0x2001_0db8n << 96n) + 2n;
const peer = { network: theirs, prefixLength: 64, endpointAddress: endpoint, endpointPort: 8285 };
const ends = { source: own + 2n, destination: theirs + 1n };
const udp: Ipv6Fields = {
  ...ends,
  nextHeader: 17,
  payload: encodeUdp({ ...ends, sourcePort: 1, destinationPort: 2, payload: new Uint8Array(4) }),
};
const from: Ipv6Fields = { ...udp, source: theirs + 1n, destination: own + 2n };

describe("outbound", () => {
  test("a routed packet leaves with its hop limit decremented, to the peer's endpoint", () => {
    const { sent, endpoints } = outbound([encodeIpv6(udp)]);
    expect(sent).toEqual([hex(encodeIpv6({ ...udp, hopLimit: 63 }))]);
    expect(endpoints).toEqual([`0a00205d00000000${"20010db8".padEnd(31, "0")}200000000`]);
  });

  test("an IPv6 packet goes to a peer with an IPv4 endpoint, and the other way round", () => {
    const peers = [
      { ...peer, endpointAddress: 0xc0a8_0002 },
      { ...peer, network: 0x0a05_6300, prefixLength: 24 },
    ];
    const ipv4 = Buffer.from("4500001c000000004011e1c40a0522020a0563010000000000000000", "hex");
    const { endpoints } = outbound([encodeIpv6(udp), ipv4], { peers });
    expect(endpoints.map((sockaddr) => sockaddr.slice(0, 4))).toEqual(["0200", "0a00"]);
  });

  test("a packet without a route is answered with no route, quoted unchanged", () => {
    const { sent, answers, drops } = outbound([encodeIpv6(udp)], { peers: [] });
    expect(sent).toEqual([]);
    expect(answers).toEqual([
      `60000000003c3a40fd00000500000022${"0".repeat(16)}fd000005000000220000000000000002` +
        `0100${answers[0]?.slice(84, 88)}00000000${hex(encodeIpv6(udp))}`,
    ]);
    expect(answers.map((answer) => icmpOf(answer))).toEqual([
      { type: 1, code: 0, mtu: 0, quote: hex(encodeIpv6(udp)) },
    ]);
    expect(drops).toEqual({ noRoute: 1 });
  });

  test("a packet with hop limit 1 or 0 is answered with time exceeded", () => {
    for (const hopLimit of [1, 0]) {
      const packet = encodeIpv6({ ...udp, hopLimit });
      const { answers, drops } = outbound([packet]);
      expect(answers.map((answer) => icmpOf(answer))).toEqual([
        { type: 3, code: 0, mtu: 0, quote: hex(packet) },
      ]);
      expect(drops).toEqual({ ttlExpired: 1 });
    }
  });

  test("a packet beyond the MTU is answered with packet too big, our MTU, and as much as 1,280 bytes take", () => {
    const packet = encodeIpv6({ ...udp, payload: new Uint8Array(1433) });
    const { answers, drops } = outbound([packet]);
    expect(answers.map((answer) => icmpOf(answer))).toEqual([
      { type: 2, code: 0, mtu: 1472, quote: hex(packet.subarray(0, 1232)) },
    ]);
    expect(drops).toEqual({ tooBig: 1 });
    expect(outbound([encodeIpv6({ ...udp, payload: new Uint8Array(1432) })]).drops).toEqual({});
  });

  test("packet too big tells the path's MTU, 1,280 at least", () => {
    const packet = encodeIpv6({ ...udp, payload: new Uint8Array(1433) });
    const mtus = [1400, 1280, 1200].map(
      (pathMtu) => outbound([packet], { pathMtu }).answers.map((answer) => icmpOf(answer).mtu)[0],
    );
    expect(mtus).toEqual([1400, 1280, 1280]);
  });

  test("ICMPv6 errors, redirects, fragments but the first, and improper addresses get no answer", () => {
    const fragment = (offset: number): Uint8Array =>
      Uint8Array.of(17, 0, offset >> 8, offset & 255, 0, 0, 0, 1, 0);
    const behind = (kind: number): Partial<Ipv6Fields> => ({
      nextHeader: 0,
      payload: Uint8Array.of(58, 0, 1, 4, 0, 0, 0, 0, kind, 0, 0, 0, 0, 0, 0, 0),
    });
    // An authentication header of 24 bytes.
    const authenticated = (kind: number): Partial<Ipv6Fields> => ({
      nextHeader: 51,
      payload: Uint8Array.of(58, 4, ...new Uint8Array(22), kind, 0, 0, 0, 0, 0, 0, 0),
    });
    const silent: Partial<Ipv6Fields>[] = [
      { nextHeader: 58, payload: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0) },
      { nextHeader: 58, payload: Uint8Array.of(127, 0, 0, 0, 0, 0, 0, 0) },
      { nextHeader: 58, payload: Uint8Array.of(137, 0, 0, 0, 0, 0, 0, 0) },
      { nextHeader: 58, payload: new Uint8Array(3) },
      behind(2),
      authenticated(3),
      { nextHeader: 44, payload: fragment(8) },
      { destination: 0xff02n << 112n },
      { source: 0n },
      { source: 1n },
      { source: 0xff02n << 112n },
    ];
    for (const fields of silent) {
      const { answers, drops } = outbound([encodeIpv6({ ...udp, ...fields })], { peers: [] });
      expect({ fields, answers }).toEqual({ fields, answers: [] });
      expect(drops).toEqual({ noRoute: 1 });
    }
    const answered: Partial<Ipv6Fields>[] = [
      { nextHeader: 58, payload: encodeIcmpEcho({ identifier: 1, sequence: 1 }, ends) },
      behind(128),
      authenticated(128),
      { nextHeader: 44, payload: fragment(1) },
      { nextHeader: 59, payload: new Uint8Array(0) },
      { nextHeader: 60, payload: Uint8Array.of(17, 255, 0, 0, 0, 0, 0, 0) },
    ];
    for (const fields of answered) {
      const { answers } = outbound([encodeIpv6({ ...udp, ...fields })], { peers: [] });
      expect({ fields, answers: answers.length }).toEqual({ fields, answers: 1 });
    }
  });

  test("nothing is answered while this host has no IPv6 subnet", () => {
    expect(outbound([encodeIpv6(udp)], { peers: [], prefixLength6: 0 })).toMatchObject({
      answers: [],
      drops: { noRoute: 1 },
    });
  });

  test("a packet shorter or longer than its length says is dropped, and a jumbogram", () => {
    const packet = encodeIpv6(udp);
    const jumbo = encodeIpv6({
      ...udp,
      nextHeader: 0,
      payload: Uint8Array.of(17, 0, 0xc2, 4, 0, 1, 0, 0, 0),
    });
    jumbo.set([0, 0], 4);
    expect(outbound([packet.subarray(0, -1), Uint8Array.of(...packet, 0), jumbo]).drops).toEqual({
      badLength: 3,
    });
    expect(outbound([packet.subarray(0, 39)]).drops).toEqual({ tooShort: 1 });
  });

  test("the longest prefix wins, over all lengths", () => {
    const lengths = [128, 127, 96, 65, 64, 63, 48, 33, 32, 31, 1, 0];
    const peers = lengths.map((prefixLength, i) => ({ ...peer, prefixLength, endpointAddress: i }));
    for (let known = 0; known < lengths.length; known++) {
      const { endpoints } = outbound([encodeIpv6(udp)], { peers: peers.slice(known).toReversed() });
      expect(Number.parseInt(endpoints[0]?.slice(8, 16) ?? "", 16)).toBe(known === 0 ? 1 : known);
    }
  });
});

describe("inbound", () => {
  test("a peer's packet passes with its hop limit decremented", () => {
    expect(inbound([encodeIpv6(from)])).toMatchObject({
      sent: [hex(encodeIpv6({ ...from, hopLimit: 63 }))],
      drops: {},
    });
  });

  test("a stranger, a peer with another's inner source, and a destination that isn't ours are dropped", () => {
    expect(inbound([encodeIpv6(from)], { sender: endpoint + 1n }).drops).toEqual({ unknownSender: 1 });
    expect(inbound([encodeIpv6({ ...from, source: own + 9n })]).drops).toEqual({ foreignSource: 1 });
    expect(inbound([encodeIpv6({ ...from, destination: theirs + 9n })]).drops).toEqual({
      foreignDestination: 1,
    });
    expect(inbound([encodeIpv6(from)], { sender: endpoint + 1n, peerSource: "any" }).drops).toEqual({});
  });

  test("hop limit 1 is answered to the endpoint of the peer", () => {
    const packet = encodeIpv6({ ...from, hopLimit: 1 });
    const { answers, answerEndpoints } = inbound([packet]);
    expect(answers.map((answer) => icmpOf(answer))).toEqual([
      { type: 3, code: 0, mtu: 0, quote: hex(packet) },
    ]);
    expect(answerEndpoints.map((sockaddr) => sockaddr.slice(0, 8))).toEqual(["0a00205d"]);
  });
});

interface Outcome {
  readonly sent: string[];
  readonly endpoints: string[];
  readonly answers: string[];
  readonly answerEndpoints: string[];
  readonly drops: Partial<Record<DropReason, number>>;
}

interface OutboundOptions {
  readonly peers?: readonly Parameters<PacketMemory["peers"]["set"]>[0][];
  readonly prefixLength6?: number;
  readonly pathMtu?: number;
}

function outbound(packets: Uint8Array[], options: OutboundOptions = {}): Outcome {
  const { memory, queue } = open(options.peers ?? [peer]);
  memory.local.set({ prefixLength6: options.prefixLength6 ?? 64 });
  const batch = queue.outbound;
  for (const packet of packets) batch.add(packet);
  queue.enter();
  checkPackets(batch);
  routeToPeers(batch, memory.peers);
  checkSizes(batch, memory.local.mtu);
  decrementTtl(batch);
  return finish(memory, queue, batch, options.pathMtu);
}

function inbound(
  packets: Uint8Array[],
  options: { sender?: bigint; peerSource?: "strict" | "any" } = {},
): Outcome {
  const { memory, queue } = open([peer]);
  const batch = queue.inbound;
  const { sender = endpoint, peerSource = "strict" } = options;
  for (const packet of packets) {
    const i = batch.add(packet);
    const name = batch.namesOffset + 32 * i;
    memory.view.setUint16(name, 10, true);
    memory.view.setBigUint64(name + 8, sender >> 64n);
    memory.view.setBigUint64(name + 16, sender & 0xffff_ffff_ffff_ffffn);
    batch.endpoints[i] = name;
  }
  queue.enter();
  checkPackets(batch);
  checkSenders(batch, memory.peers, peerSource);
  checkDestinations(batch, memory.local);
  decrementTtl(batch);
  return finish(memory, queue, batch);
}

function open(peers: NonNullable<OutboundOptions["peers"]>): { memory: PacketMemory; queue: PacketQueue } {
  const memory = createPacketMemory({ batch: 8, slotBytes: 4096, peers: 16 });
  for (const entry of peers) memory.peers.set(entry);
  memory.local.set({ network6: own, prefixLength6: 64, address6: own, mtu: 1472 });
  return { memory, queue: memory.queues[0] as PacketQueue };
}

function finish(memory: PacketMemory, queue: PacketQueue, batch: PacketBatch, pathMtu?: number): Outcome {
  const { replies } = queue;
  answerErrors(
    batch,
    replies,
    memory.local,
    queue.limiter,
    () => 0,
    pathMtu === undefined ? undefined : () => pathMtu,
  );
  const all = Array.from({ length: batch.count }, (_, i) => i);
  const passed = all.filter((i) => batch.verdicts[i] === 0);
  const sockaddr = (at = 0): string => (at === 0 ? "" : hex(memory.bytes.subarray(at, at + 28)));
  const drops: Partial<Record<DropReason, number>> = {};
  for (const i of all) {
    const reason = dropReasons[(batch.verdicts[i] ?? 0) - 1];
    if (reason !== undefined) drops[reason] = (drops[reason] ?? 0) + 1;
  }
  return {
    sent: passed.map((i) => hex(batch.packet(i))),
    endpoints: passed.map((i) => sockaddr(batch.endpoints[i])),
    answers: Array.from({ length: replies.count }, (_, i) => hex(replies.packet(i))),
    answerEndpoints: Array.from({ length: replies.count }, (_, i) => sockaddr(replies.endpoints[i])),
    drops,
  };
}

function icmpOf(answer: string): { type: number; code: number; mtu: number; quote: string } {
  const packet = parseIpv6(Uint8Array.from(Buffer.from(answer, "hex")));
  expect(packet).toMatchObject({ source: own, hopLimit: 64, nextHeader: 58, trafficClass: 0, flowLabel: 0 });
  const { type, code, identifier, sequence, payload, checksumValid } = parseIcmp(packet.payload, packet);
  expect(checksumValid).toBe(true);
  return { type, code, mtu: identifier * 65_536 + sequence, quote: hex(payload) };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
