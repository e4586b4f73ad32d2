import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { addressFromNumber, type Address, parseAddress, parsePrefix, Prefix } from "@loden/ip";
import type { Lease } from "@loden/lease";
import { constants, encodeSocketAddress, receiveFrom, sendTo, setSocketOption } from "@loden/linux";
import { openRtnetlink } from "@loden/rtnetlink";
import { plainUdpSocket, udpSocket, type TestSocket } from "./host-sockets.fixture.ts";
import { type Carrier, carriers, openTwoHosts, type Host, type TwoHosts } from "./two-hosts.fixture.ts";

// Numbered packets while 10,000 peers a second change: to host b, which stays, and to 10.5.3.1, whose host moves to and fro between
// two addresses, with a live socket at each.
//
//   host a: 192.0.2.1 ---- switch ---- 192.0.2.2: host b (10.5.2.0/24)
//                                 ---- 192.0.2.9 and 192.0.2.10: sockets of 10.5.3.0/24

const BYSTANDERS = 1000;
const CHANGES_PER_TICK = 100;
const TICK_MS = 10;
const PACKETS = 30_000;
/** More than that under way at once would overflow a queue when the machine is busy elsewhere. */
const MOST_UNDER_WAY = 200;

let hosts: TwoHosts;
let a: Host;
let b: Host;

describe.each(carriers)("openUdpBackend() while its peers change, by %s", (carrier) => {
  beforeEach(async () => {
    hosts = await openTwoHosts({ carrier });
    ({ a, b } = hosts);
  });

  afterEach(() => hosts[Symbol.asyncDispose]());

  test(
    "each packet arrives exactly once when its peer stays, and when its peer moves",
    { timeout: 120_000 },
    async () => {
      using rtnetlink = openRtnetlink({ netns: hosts.stranger });
      const other = parseAddress("192.0.2.10");
      await rtnetlink.addresses.add({ link: "eth0", address: other, prefixLength: 24 });
      const places = [parseAddress("192.0.2.9"), other] as const;
      using here = plainUdpSocket(hosts.stranger, places[0], 8285);
      using there = plainUdpSocket(hosts.stranger, places[1], 8285);
      using steady = udpSocket(b, 7000);
      using sender = udpSocket(a, 7001);
      for (const { fd } of [here, there, steady]) {
        setSocketOption(fd, constants.SOL_SOCKET, constants.SO_RCVBUFFORCE, 8 * 1024 * 1024);
      }
      const churn = startChurn(places, carrier);
      const sinks = { stays: [steady], moves: [here, there] };
      const { perSecond } = await send(sender, sinks, 5_000, Infinity);
      const { stays, moves, perSink } = await send(sender, sinks, PACKETS, perSecond / 2);
      expect(churn.end()).toBeGreaterThan(1000);
      const once = new Uint8Array(PACKETS).fill(1);
      expect(Buffer.compare(stays, once)).toBe(0);
      expect(Buffer.compare(moves, once)).toBe(0);
      expect(Math.min(...perSink)).toBeGreaterThan(PACKETS / 10);
    },
  );
});

/** Changes the endpoints of a hundred peers every 10 ms, the one that moves among them; `end` gives how many changes there were. */
function startChurn(places: readonly [Address, Address], carrier: Carrier): { end(): number } {
  const home = parsePrefix("10.5.128.0/17").address.toNumber();
  const leases = Array.from({ length: BYSTANDERS }, (_, i) =>
    leaseOf(new Prefix(addressFromNumber(home + 32 * i), 27), parseAddress("192.0.2.77")),
  );
  let ticks = 0;
  const tick = (): void => {
    for (let i = 0; i < CHANGES_PER_TICK - 1; i++) {
      const which = (ticks * (CHANGES_PER_TICK - 1) + i) % BYSTANDERS;
      const { subnet, attributes } = leases[which] as Lease;
      const endpoint = (attributes.publicIP?.toNumber() ?? 0) ^ 1;
      leases[which] = leaseOf(subnet.ipv4 as Prefix, addressFromNumber(endpoint >>> 0));
    }
    const moving = leaseOf(parsePrefix("10.5.3.0/24"), places[ticks % 2] as Address, carrier);
    void a.backend.apply([b.lease, moving, ...leases]);
    ticks++;
  };
  tick();
  const timer = setInterval(tick, TICK_MS);
  return {
    end() {
      clearInterval(timer);
      return ticks * CHANGES_PER_TICK;
    },
  };
}

/** A host whose kernel takes everything, where kernels do so: only to such a one a packet may go that is not finished. */
function leaseOf(ipv4: Prefix, publicIP: Address, carrier?: Carrier): Lease {
  const attributes = {
    publicIP,
    backendType: "",
    ...(carrier === "whole" && { backendData: { Decapsulates: "all" } }),
  };
  return { subnet: { ipv4 }, attributes, expiresAt: undefined, revision: "1" };
}

/** How often each number has arrived. */
interface Arrivals {
  readonly stays: Uint8Array;
  readonly moves: Uint8Array;
  /** Packets of both kinds a second. */
  readonly perSecond: number;
  /** How many packets each of the two places of the moving peer has got. */
  readonly perSink: readonly number[];
}

/** Sends so many numbered packets to each of the two peers, at most so many a second, until all have arrived or none does any more. */
async function send(
  { fd }: TestSocket,
  sinks: { readonly stays: readonly TestSocket[]; readonly moves: readonly TestSocket[] },
  count: number,
  perSecond: number,
): Promise<Arrivals> {
  const toStaying = encodeSocketAddress(b.inner.toBytes(), 7000);
  const toMoving = encodeSocketAddress(parseAddress("10.5.3.1").toBytes(), 7000);
  const arrived = { stays: new Uint8Array(count), moves: new Uint8Array(count) };
  const perSink = sinks.moves.map(() => 0);
  const payload = new Uint8Array(32);
  const view = new DataView(payload.buffer);
  const start = performance.now();
  let [sent, seen, last] = [0, 0, start];
  while (seen < 2 * count && performance.now() - last < 5_000) {
    const due = Math.min(count, ((performance.now() - start) / 2000) * perSecond);
    for (; sent < due && 2 * sent - seen < MOST_UNDER_WAY; sent++) {
      view.setUint32(0, sent);
      sendTo(fd, payload, toStaying);
      sendTo(fd, payload, toMoving);
    }
    const before = seen;
    seen += drain(sinks.stays[0] as TestSocket, arrived.stays, 0);
    for (const [i, sink] of sinks.moves.entries()) {
      const packets = drain(sink, arrived.moves, INNER_HEADERS);
      perSink[i] = (perSink[i] ?? 0) + packets;
      seen += packets;
    }
    if (seen > before) last = performance.now();
    await new Promise(setImmediate);
  }
  // What comes twice may come late.
  await sleep(200);
  drain(sinks.stays[0] as TestSocket, arrived.stays, 0);
  for (const sink of sinks.moves) drain(sink, arrived.moves, INNER_HEADERS);
  return { ...arrived, perSecond: (seen / (last - start)) * 1000, perSink };
}

/** Of the packet inside a datagram, as a host without Loden sees it. */
const INNER_HEADERS = 28;
const buffer = new Uint8Array(2048);

/** Counts the numbers of all packets that are there; gives how many they were. */
function drain({ fd }: TestSocket, arrived: Uint8Array, offset: number): number {
  let count = 0;
  while (receiveFrom(fd, buffer) !== undefined) {
    const number = new DataView(buffer.buffer).getUint32(offset);
    arrived[number] = (arrived[number] ?? 0) + 1;
    count++;
  }
  return count;
}
