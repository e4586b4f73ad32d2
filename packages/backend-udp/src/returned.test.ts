import { createPlainUdpCodec } from "@loden/encap";
import { parseAddress, type AddressFamily } from "@loden/ip";
import {
  createPacketMemory,
  encodeIpv4,
  encodeIpv6,
  kernelsOf,
  type PacketQueue,
  parseIpv4,
  parseIpv6,
  readCounters,
} from "@loden/packet";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { packetAddress } from "./packet-addresses.ts";
import { passReturned } from "./returned.ts";

const PATH_MTU = 1352;
/** Addresses by what they are of. */
const inner = {
  4: { own: "10.5.1.7", peer: "10.5.2.7", nobody: "10.6.0.1" },
  6: { own: "fd00:5:0:1::7", peer: "fd00:5:0:2::7", nobody: "fd00:6::1" },
} as const;
type Name = keyof (typeof inner)[4];

/** A packet without the rest of its payload, as routers quote it. */
function beginning(
  family: AddressFamily,
  { from = "own", to = "peer", bytes = 1400, dontFragment = true, quoted = 100 }: Quote = {},
): Uint8Array {
  const names = inner[family];
  const [source, destination] = [parseAddress(names[from]), parseAddress(names[to])];
  if (family === 6) {
    const ends = { source: source.value, destination: destination.value };
    return encodeIpv6({ ...ends, nextHeader: 6, payload: new Uint8Array(bytes - 40) }).slice(0, quoted);
  }
  const ends = { source: source.toNumber(), destination: destination.toNumber() };
  const packet = encodeIpv4({ ...ends, protocol: 6, payload: new Uint8Array(bytes - 20) });
  packet[6] = dontFragment ? 0x40 : 0;
  return packet.slice(0, quoted);
}

interface Quote {
  readonly from?: Name;
  readonly to?: Name;
  readonly bytes?: number;
  readonly dontFragment?: boolean;
  readonly quoted?: number;
}

/** Passes on what routers sent back; gives what the TUN device gets, and what was counted. */
function returned(...quotes: readonly Uint8Array[]): { answers: Uint8Array[]; tooBig: number } {
  const memory = createPacketMemory({ batch: 64, peers: 16 });
  const queue = memory.queues[0] as PacketQueue;
  const own = { network: parseAddress("10.5.1.0").toNumber(), prefixLength: 24 };
  const own6 = { network6: parseAddress("fd00:5:0:1::").value, prefixLength6: 64 };
  memory.local.set({ ...own, address: own.network, ...own6, address6: own6.network6, mtu: 1452 });
  const endpoint = { endpointAddress: packetAddress(parseAddress("2001:db8::2")), endpointPort: 8285 };
  for (const [base, prefixLength] of [
    ["10.5.2.0", 24],
    ["fd00:5:0:2::", 64],
  ] as const)
    memory.peers.set({ network: packetAddress(parseAddress(base)), prefixLength, ...endpoint });
  const answers: Uint8Array[] = [];
  const none = (): never => {
    throw new Error("not a part of this way");
  };
  passReturned({
    memory,
    kernels: kernelsOf(memory),
    queue,
    codec: createPlainUdpCodec(),
    peerSource: "strict",
    pathMtu: () => PATH_MTU,
    now: () => 0,
    noteNarrowPaths: () => undefined,
    noteSenders: none,
    tun: {
      read: none,
      drained: true,
      write(batch) {
        for (let i = 0; i < batch.count; i++) answers.push(batch.packet(i).slice());
        return batch.count;
      },
    },
    udp: {
      receive: none,
      sendSegments: none,
      drained: true,
      hasErrors: false,
      receiveErrors(batch) {
        batch.count = 0;
        for (const quote of quotes) batch.add(quote);
        return batch.count;
      },
    },
  });
  const { outbound } = readCounters(memory);
  expect(outbound.packets).toBe(0);
  return { answers, tooBig: outbound.dropped.tooBig };
}

describe.each([4, 6] as const)("passReturned() with IPv%d packets", (family) => {
  test("passReturned() answers the sender with the path's MTU, and counts the packet", () => {
    const { answers, tooBig } = returned(beginning(family), beginning(family));
    expect(answers).toHaveLength(2);
    expect(tooBig).toBe(2);
    const [answer = new Uint8Array()] = answers;
    const { source, destination, payload } = family === 4 ? parseIpv4(answer) : parseIpv6(answer);
    expect(source).toBe(packetAddress(parseAddress(family === 4 ? "10.5.1.0" : "fd00:5:0:1::")));
    expect(destination).toBe(packetAddress(parseAddress(inner[family].own)));
    expect([...payload.subarray(0, 2)]).toEqual(family === 4 ? [3, 4] : [2, 0]);
    const view = new DataView(payload.buffer, payload.byteOffset);
    expect(family === 4 ? view.getUint16(6) : view.getUint32(4)).toBe(PATH_MTU);
    const quote = beginning(family).subarray(0, family === 4 ? 28 : 100);
    expect(payload.subarray(8)).toEqual(quote);
  });

  test.each<[string, Quote]>([
    ["comes from somewhere else", { from: "nobody" }],
    ["goes to no peer", { to: "nobody" }],
    ["fits the path", { bytes: PATH_MTU }],
    ["is quoted without the ports", { quoted: family === 4 ? 27 : 47 }],
    ["is not quoted at all", { quoted: 0 }],
    ["could have been fragmented", family === 4 ? { dontFragment: false } : { bytes: 1280 }],
  ])("passReturned() passes over a packet that %s", (_, quote) => {
    expect(returned(beginning(family, quote))).toEqual({ answers: [], tooBig: 0 });
    expect(returned(beginning(family, quote), beginning(family)).tooBig).toBe(1);
  });
});

test("passReturned() passes over what is no packet of ours, whatever it is", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 64 }), (quotes) => {
      expect(returned(...quotes)).toEqual({ answers: [], tooBig: 0 });
    }),
    { numRuns: 200 },
  );
});
