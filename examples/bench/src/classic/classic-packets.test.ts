import { describe, expect, test } from "vitest";
import { createPeerLookup, decrementTtl, isInside, isPacket } from "./classic-packets.ts";

// 10.0.0.1 to 10.0.1.1, UDP, TTL 64, with a right checksum.
const header = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0x65, 0xd8, 10, 0, 0, 1, 10, 0, 1, 1];

describe("isPacket()", () => {
  test("isPacket() takes one IPv4 packet and nothing else", () => {
    expect(isPacket(viewOf(header), 20)).toBe(true);
    expect(isPacket(viewOf(header), 19)).toBe(false);
    expect(isPacket(viewOf(header.with(0, 0x65)), 20)).toBe(false);
    expect(isPacket(viewOf(header.with(0, 0x46)), 20)).toBe(false);
    expect(isPacket(viewOf(header.with(0, 0x44)), 20)).toBe(false);
    expect(isPacket(viewOf(header.with(3, 21)), 20)).toBe(false);
  });
});

describe("decrementTtl()", () => {
  test("decrementTtl() keeps the checksum right down to a TTL of one", () => {
    const view = viewOf(header);
    for (let ttl = 63; ttl >= 1; ttl--) {
      expect(decrementTtl(view)).toBe(true);
      expect(view.getUint8(8)).toBe(ttl);
      expect(sumOf(view)).toBe(0xffff);
    }
    expect(decrementTtl(view)).toBe(false);
    expect(view.getUint8(8)).toBe(1);
  });
});

describe("createPeerLookup()", () => {
  test("createPeerLookup() finds the longest prefix", () => {
    const wide = { network: 0x64600000, prefixLength: 16, endpoint: 1 };
    const narrow = { network: 0x64600200, prefixLength: 24, endpoint: 2 };
    const high = { network: 0xc0a80000 | 0, prefixLength: 24, endpoint: 3 };
    const find = createPeerLookup([wide, narrow, high]);
    expect(find(0x64600201)).toBe(narrow);
    expect(find(0x64600301)).toBe(wide);
    expect(find(0xc0a80005 | 0)).toBe(high);
    expect(find(0x64610001)).toBeUndefined();
  });
});

test("isInside() compares the prefix alone", () => {
  expect(isInside(0xc0a80105 | 0, 0xc0a80100 | 0, 24)).toBe(true);
  expect(isInside(0xc0a80205 | 0, 0xc0a80100 | 0, 24)).toBe(false);
  expect(isInside(1, 0x7f000000, 0)).toBe(true);
});

function viewOf(bytes: readonly number[]): DataView {
  return new DataView(Uint8Array.from(bytes).buffer);
}

function sumOf(view: DataView): number {
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}
