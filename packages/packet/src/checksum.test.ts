import * as fc from "fast-check";
import { expect, test } from "vitest";
import { checksum } from "./checksum.ts";
import { checksumAfterDecrement } from "./decrement-ttl.ts";
import { encodeIpv4 } from "./ipv4.ts";

test("checksum() gives the example of RFC 1071", () => {
  const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
  expect(checksum(bytes)).toBe(~0xddf2 & 0xffff);
});

test("checksum() equals a sum in big integers, at any offset and length", () => {
  const stretch = fc
    .uint8Array({ maxLength: 300 })
    .chain((bytes) =>
      fc
        .tuple(fc.constant(bytes), fc.nat(bytes.length))
        .chain(([given, offset]) =>
          fc.tuple(fc.constant(given), fc.constant(offset), fc.nat(given.length - offset)),
        ),
    );
  fc.assert(
    fc.property(stretch, ([bytes, offset, length]) => {
      expect(checksum(bytes, offset, length)).toBe(slowChecksum(bytes.slice(offset, offset + length)));
    }),
  );
});

test("checksum() is right for the longest packet", () => {
  const bytes = new Uint8Array(65_535).fill(0xff);
  expect(checksum(bytes)).toBe(slowChecksum(bytes));
});

test("checksumAfterDecrement() equals full recomputation for each of the 65,536 values", () => {
  for (let value = 0; value <= 0xffff; value++) {
    // The identification makes the header's checksum `value`. 0xffff is the checksum of no header; it stands for 0.
    const base = { source: 0, destination: 0, protocol: 17, payload: new Uint8Array(0) };
    const id = (readChecksum(encodeIpv4({ ...base, ttl: 64, id: 0 })) - value + 0xffff) % 0xffff;
    const before = encodeIpv4({ ...base, ttl: 64, id });
    expect(readChecksum(before)).toBe(value % 0xffff);
    expect(checksumAfterDecrement(value)).toBe(readChecksum(encodeIpv4({ ...base, ttl: 63, id })));
    before.set([63], 8);
    new DataView(before.buffer).setUint16(10, checksumAfterDecrement(value));
    expect(checksum(before)).toBe(0);
  }
});

test("checksumAfterDecrement() keeps random headers right, byte for byte as recomputed", () => {
  const u32 = fc.nat(0xffff_ffff);
  fc.assert(
    fc.property(
      u32,
      u32,
      fc.integer({ min: 2, max: 255 }),
      fc.nat(255),
      fc.nat(0xffff),
      fc.nat(255),
      (source, destination, ttl, tos, id, protocol) => {
        const fields = { source, destination, tos, id, protocol, payload: new Uint8Array(0) };
        const before = encodeIpv4({ ...fields, ttl });
        const after = encodeIpv4({ ...fields, ttl: ttl - 1 });
        expect(checksumAfterDecrement(readChecksum(before))).toBe(readChecksum(after));
      },
    ),
    { numRuns: 5000 },
  );
});

function readChecksum(header: Uint8Array): number {
  return ((header[10] ?? 0) << 8) | (header[11] ?? 0);
}

function slowChecksum(bytes: Uint8Array): number {
  let sum = 0n;
  for (let i = 0; i < bytes.length; i += 2) sum += BigInt((bytes[i] ?? 0) * 256 + (bytes[i + 1] ?? 0));
  while (sum > 0xffffn) sum = (sum & 0xffffn) + (sum >> 16n);
  return 0xffff - Number(sum);
}
