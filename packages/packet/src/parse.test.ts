import * as fc from "fast-check";
import { expect, test } from "vitest";
import { checksum } from "./checksum.ts";
import { encodeIcmpEcho, parseIcmp } from "./icmp.ts";
import { encodeIpv4, parseIpv4 } from "./ipv4.ts";
import { encodeIpv6, parseIpv6 } from "./ipv6.ts";
import { pseudoHeaderSum } from "./pseudo-header.ts";
import { parseTcp } from "./tcp.ts";
import { encodeUdp, parseUdp } from "./udp.ts";

const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffff_ffff);
const payload = fc.uint8Array({ maxLength: 50 });

test("parseIpv4() gives back what encodeIpv4() was given, with padding ignored", () => {
  const fields = fc.record({
    tos: fc.nat(255),
    id: u16,
    dontFragment: fc.boolean(),
    moreFragments: fc.boolean(),
    fragmentOffset: fc.nat(0x1fff).map((n) => n * 8),
    ttl: fc.nat(255),
    protocol: fc.nat(255),
    source: u32,
    destination: u32,
    options: fc.nat(10).chain((n) => fc.uint8Array({ minLength: 4 * n, maxLength: 4 * n })),
    payload,
  });
  fc.assert(
    fc.property(fields, fc.nat(20), (given, padding) => {
      const bytes = encodeIpv4(given);
      const totalLength = 20 + given.options.length + given.payload.length;
      expect(bytes.length).toBe(totalLength);
      const padded = new Uint8Array(totalLength + padding);
      padded.set(bytes);
      const { checksum: _, ...packet } = parseIpv4(padded);
      expect(packet).toEqual({
        ...given,
        totalLength,
        headerLength: 20 + given.options.length,
        checksumValid: true,
      });
    }),
  );
});

test("parseIpv6() gives back what encodeIpv6() was given, with padding ignored", () => {
  const ipv6 = fc.bigInt({ min: 0n, max: 2n ** 128n - 1n });
  const fields = fc.record({
    trafficClass: fc.nat(255),
    flowLabel: fc.nat(0xf_ffff),
    nextHeader: fc.nat(255),
    hopLimit: fc.nat(255),
    source: ipv6,
    destination: ipv6,
    payload,
  });
  fc.assert(
    fc.property(fields, fc.nat(20), (given, padding) => {
      const padded = new Uint8Array(40 + given.payload.length + padding);
      padded.set(encodeIpv6(given));
      expect(parseIpv6(padded)).toEqual(given);
    }),
  );
  expect(() => parseIpv6(new Uint8Array(39))).toThrow("it has 39 bytes, expected a header of 40");
  expect(() => parseIpv6(new Uint8Array(40))).toThrow("its version is 0, expected 6");
  expect(() => parseIpv6(unhex(`60000000000100${"00".repeat(33)}`))).toThrow(SyntaxError);
});

test("encodeIcmpEcho() and encodeUdp() sum the pseudo header of IPv6", () => {
  const ends = { source: (0xfe80n << 112n) + 1n, destination: (0xfe80n << 112n) + 2n };
  const echo = encodeIcmpEcho({ identifier: 1, sequence: 2 }, ends);
  // fe80::1 to fe80::2: 2 * 0xfe80 + 3 + 8 + 58 + 0x8000 + 3, folded and inverted
  expect(hex(echo)).toBe("800082b500010002");
  expect(parseIcmp(echo, ends)).toMatchObject({ type: 128, checksumValid: true });
  expect(parseIcmp(echo).checksumValid).toBe(false);
  const datagram = encodeUdp({ ...ends, sourcePort: 1, destinationPort: 2, payload: new Uint8Array(1) });
  expect(checksum(datagram, 0, 9, pseudoHeaderSum(ends.source, ends.destination, 17, 9))).toBe(0);
});

test("parseIpv4() gives the fields of a known packet", () => {
  // from the vectors of flannel's UDP mode
  const packet = parseIpv4(unhex("4500001c000000004011e1c40a0522020a0563010000000000000000"));
  expect(packet).toMatchObject({
    ttl: 64,
    protocol: 17,
    checksum: 0xe1c4,
    checksumValid: true,
    source: 0x0a052202,
    destination: 0x0a056301,
  });
});

test("parseIpv4() throws SyntaxError that says what is wrong", () => {
  const bytes = encodeIpv4({ source: 1, destination: 2, protocol: 17, payload: new Uint8Array(4) });
  const changed = (at: number, value: number): Uint8Array => bytes.with(at, value);
  expect(() => parseIpv4(bytes.subarray(0, 19))).toThrow(
    "Cannot parse IPv4 packet: it has 19 bytes, expected a header of 20",
  );
  expect(() => parseIpv4(changed(0, 0x65))).toThrow("its version is 6, expected 4");
  expect(() => parseIpv4(changed(0, 0x44))).toThrow("its header length is 16, expected 20 to 24");
  expect(() => parseIpv4(changed(3, 25))).toThrow("its total length is 25, expected 20 to 24");
  expect(() => parseIpv4(changed(3, 19))).toThrow(SyntaxError);
});

test("encodeIpv4() throws RangeError for odd options and a packet too long", () => {
  const fields = { source: 1, destination: 2, protocol: 17, payload: new Uint8Array(0) };
  expect(() => encodeIpv4({ ...fields, options: new Uint8Array(3) })).toThrow(RangeError);
  expect(() => encodeIpv4({ ...fields, options: new Uint8Array(44) })).toThrow(RangeError);
  expect(() => encodeIpv4({ ...fields, payload: new Uint8Array(65_516) })).toThrow(RangeError);
});

test("encodeIcmpEcho() makes a request that parseIcmp() takes apart", () => {
  expect(hex(encodeIcmpEcho({ identifier: 1, sequence: 2 }))).toBe("0800f7fc00010002");
  fc.assert(
    fc.property(u16, u16, payload, fc.boolean(), (identifier, sequence, data, reply) => {
      const bytes = encodeIcmpEcho({ identifier, sequence, payload: data, reply });
      const type = reply ? 0 : 8;
      expect(parseIcmp(bytes)).toEqual({
        type,
        code: 0,
        checksumValid: true,
        identifier,
        sequence,
        payload: data,
      });
      bytes[0] = 3;
      expect(parseIcmp(bytes).checksumValid).toBe(false);
    }),
  );
  expect(() => parseIcmp(new Uint8Array(7))).toThrow(SyntaxError);
});

test("encodeUdp() makes a datagram that parseUdp() takes apart, with a checksum over the addresses", () => {
  fc.assert(
    fc.property(u32, u32, u16, u16, payload, (source, destination, sourcePort, destinationPort, data) => {
      const bytes = encodeUdp({ source, destination, sourcePort, destinationPort, payload: data });
      const { checksum: sum, ...datagram } = parseUdp(bytes);
      expect(datagram).toEqual({ sourcePort, destinationPort, length: 8 + data.length, payload: data });
      expect(sum).not.toBe(0);
      const pseudo = pseudoHeaderSum(source, destination, 17, bytes.length);
      expect(checksum(bytes, 0, bytes.length, pseudo)).toBe(0);
    }),
  );
  expect(() => parseUdp(new Uint8Array(7))).toThrow(SyntaxError);
  expect(() => parseUdp(new Uint8Array(8))).toThrow("its length is 0, expected 8 to 8");
});

test("parseTcp() gives the fields of a SYN with options", () => {
  // SYN, ECE, CWR; options mss 1460, nop, wscale 7; two bytes of payload; the checksum is made up
  const segment = parseTcp(
    unhex("c3500050000000010000000070c2faf0123400000204 05b4010303 07ffee".replaceAll(" ", "")),
  );
  expect({ ...segment, options: hex(segment.options), payload: hex(segment.payload) }).toEqual({
    sourcePort: 50_000,
    destinationPort: 80,
    sequence: 1,
    acknowledgment: 0,
    headerLength: 28,
    flags: 0xc2,
    window: 64_240,
    checksum: 0x1234,
    urgent: 0,
    options: "020405b401030307",
    payload: "ffee",
  });
  expect(() => parseTcp(new Uint8Array(19))).toThrow(SyntaxError);
  expect(() => parseTcp(new Uint8Array(20))).toThrow("its header length is 0, expected 20 to 20");
});

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function unhex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "hex"));
}
