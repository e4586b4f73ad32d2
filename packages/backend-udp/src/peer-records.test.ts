import { describe, expect, test } from "vitest";
import { addressFromNumber, parseAddress, parsePrefix, Prefix } from "@loden/ip";
import type { Lease } from "@loden/lease";
import { createPacketMemory } from "@loden/packet";
import { parseNetworkConfig } from "@loden/subnet";
import { createPeerRecords } from "./peer-records.ts";

const publicIP = parseAddress("192.0.2.2");
const underlay = { link: "eth0", mtu: 1500, ipv4: parseAddress("192.0.2.1") };
const place = { underlay, attributes: { publicIP: underlay.ipv4, backendType: "" }, membership: undefined };

/** The lease of host `number`: an IPv4 subnet of 10/8, and an IPv6 one where the host has both. */
function leaseOf(number: number, isDualStack = false): Lease {
  const ipv4 = new Prefix(addressFromNumber(0x0a00_0000 + number * 16), 28);
  const ipv6 = isDualStack ? parsePrefix(`fd00:5:0:${number}::/64`) : undefined;
  return {
    subnet: { ipv4, ...(ipv6 && { ipv6 }) },
    attributes: { publicIP, backendType: "" },
    expiresAt: undefined,
    revision: "1",
  };
}

describe("createPeerRecords() when there are more subnets than the table has room for", () => {
  test("serves the first leases, as whole ones, and names the others", () => {
    const peerRecords = createPeerRecords(8285, 4, () => undefined);
    const leases = [leaseOf(1, true), leaseOf(2), leaseOf(3, true), leaseOf(4), leaseOf(5)];
    const { records, skipped } = peerRecords(leases, place);
    expect(records.map(({ network }) => network)).toEqual([
      0x0a00_0010,
      expect.any(BigInt),
      0x0a00_0020,
      0x0a00_0040,
    ]);
    const reason = "the peer table is full, it has room for 4 subnets";
    expect(skipped).toEqual([
      { subnet: "10.0.0.48/28 fd00:5:0:3::/64", reason },
      { subnet: "10.0.0.80/28", reason },
    ]);
  });

  test("serves one that was skipped once another is gone", () => {
    const peerRecords = createPeerRecords(8285, 1, () => undefined);
    const leases = [leaseOf(1), leaseOf(2)];
    expect(peerRecords(leases, place).skipped).toHaveLength(1);
    const { records, skipped } = peerRecords(leases.slice(1), place);
    expect({ networks: records.map(({ network }) => network), skipped }).toEqual({
      networks: [0x0a00_0020],
      skipped: [],
    });
  });
});

test("the peer table takes what createPeerRecords() gives, before and after a change", () => {
  const { peers } = createPacketMemory({ peers: 64 });
  const peerRecords = createPeerRecords(8285, peers.capacity, () => undefined);
  const leases = Array.from({ length: 65 }, (_, number) => leaseOf(number));
  for (const [given, skipped] of [
    [leases, 1],
    [leases.slice(1), 0],
    [leases.toReversed(), 1],
  ] as const) {
    const made = peerRecords(given, place);
    peers.replaceAll(made.records);
    expect({ size: peers.size, skipped: made.skipped.length }).toEqual({ size: 64, skipped });
  }
});

test("createPeerRecords() looks at overlaps again when a subnet changes, and keeps what it found while endpoints do", () => {
  const network = parseNetworkConfig('{"Network": "10.0.0.0/8", "SubnetLen": 24}');
  const own = { ...leaseOf(0), subnet: { ipv4: parsePrefix("10.9.9.0/24") } };
  const joined = { ...place, membership: { lease: own, network } };
  const peerRecords = createPeerRecords(8285, 8, () => undefined);
  const odd = (prefix: string, host = "192.0.2.2"): Lease => ({
    ...leaseOf(0),
    subnet: { ipv4: parsePrefix(prefix) },
    attributes: { publicIP: parseAddress(host), backendType: "" },
  });
  const [wide, within] = [odd("10.1.0.0/16"), odd("10.1.2.0/28")];
  const skipped = [
    { subnet: "10.1.2.0/28", reason: "its subnet overlaps 10.1.0.0/16, which another peer has" },
  ];
  const first = peerRecords([wide, within], joined);
  expect(first.records.map(({ prefixLength }) => prefixLength)).toEqual([16]);
  expect(first.skipped).toEqual(skipped);
  const moved = peerRecords([odd("10.1.0.0/16", "192.0.2.3"), within], joined);
  expect(moved.records.map(({ endpointAddress }) => endpointAddress)).toEqual([0xc000_0203]);
  expect(moved.skipped).toEqual(skipped);
  const apart = peerRecords([odd("10.2.0.0/16", "192.0.2.3"), within], joined);
  expect(apart.records.map(({ prefixLength }) => prefixLength)).toEqual([16, 28]);
  expect(apart.skipped).toEqual([]);
});

test("createPeerRecords() pauses while it looks at leases that it knows, not only at new ones", () => {
  let pauses = 0;
  const peerRecords = createPeerRecords(8285, 2048, () => pauses++);
  const leases = Array.from({ length: 1024 }, (_, number) => leaseOf(number));
  peerRecords(leases, place);
  const before = pauses;
  peerRecords(leases, place);
  expect({ first: before > 64, again: pauses - before }).toEqual({ first: true, again: 9 });
});
