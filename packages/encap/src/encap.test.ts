import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createPlainUdpCodec, createVxlanCodec, DecodeError, decodeVxlan, encodeVxlan } from "./index.ts";

const vni = fc.nat(0xff_ffff);
const frame = fc.uint8Array({ maxLength: 200 });

test("encodeVxlan() writes the header of RFC 7348, reserved bits zero", () => {
  expect([...encodeVxlan(Uint8Array.of(0xaa), { vni: 0x01_0203 })]).toEqual([8, 0, 0, 0, 1, 2, 3, 0, 0xaa]);
});

test("decodeVxlan() gives back what encodeVxlan() was given", () => {
  fc.assert(
    fc.property(frame, vni, (given, id) => {
      expect(decodeVxlan(encodeVxlan(given, { vni: id }))).toEqual({ vni: id, frame: given });
    }),
  );
});

test("decodeVxlan() ignores reserved bits, and gives a view of a datagram anywhere in its buffer", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 8, maxLength: 60 }), fc.nat(20), (datagram, before) => {
      datagram[0] = (datagram[0] ?? 0) | 8;
      const buffer = new Uint8Array(before + datagram.length);
      buffer.set(datagram, before);
      const [, , , , a = 0, b = 0, c = 0] = datagram;
      const decoded = decodeVxlan(buffer.subarray(before));
      expect(decoded).toEqual({ vni: a * 65_536 + b * 256 + c, frame: datagram.subarray(8) });
      expect(decoded.frame.buffer).toBe(buffer.buffer);
    }),
  );
});

test("decodeVxlan() throws SyntaxError that says what is wrong", () => {
  expect(() => decodeVxlan(new Uint8Array(7))).toThrow(
    new SyntaxError("Cannot decode VXLAN datagram: it has 7 bytes, expected a header of 8"),
  );
  expect(() => decodeVxlan(Uint8Array.of(0x07, 0, 0, 0, 0, 0, 1, 0))).toThrow(
    new SyntaxError("Cannot decode VXLAN datagram: its flags are 0x07, expected the I flag (0x08) to be set"),
  );
});

test("encodeVxlan() and createVxlanCodec() throw RangeError when the VNI doesn't fit 24 bits", () => {
  for (const wrong of [-1, 0x100_0000, 1.5, NaN]) {
    expect(() => encodeVxlan(new Uint8Array(0), { vni: wrong })).toThrow(RangeError);
    expect(() => createVxlanCodec({ vni: wrong })).toThrow(RangeError);
  }
});

describe.each([createPlainUdpCodec(), createVxlanCodec({ vni: 42 })])("codec $name", (codec) => {
  test("decode() finds the packet that encode() was given, in place, touching only its headroom", () => {
    fc.assert(
      fc.property(frame, fc.integer({ min: 8, max: 100 }), fc.nat(20), (packet, offset, after) => {
        const bytes = new Uint8Array(offset + packet.length + after).fill(0xee);
        bytes.set(packet, offset);
        const before = bytes.slice();
        const start = codec.encode(bytes, offset, packet.length);
        expect(start).toBe(offset - codec.overhead);
        expect(bytes.subarray(0, start)).toEqual(before.subarray(0, start));
        expect(bytes.subarray(offset)).toEqual(before.subarray(offset));
        expect(codec.decode(bytes, start, codec.overhead + packet.length)).toBe(offset);
      }),
    );
  });

  test("decode() never throws and gives a place inside the datagram or a DecodeError, whatever the bytes", () => {
    fc.assert(
      fc.property(frame, fc.nat(50), fc.nat(50), (bytes, skip, cut) => {
        const offset = Math.min(skip, bytes.length);
        const length = Math.max(0, bytes.length - offset - cut);
        const start = codec.decode(bytes, offset, length);
        const isError = (Object.values(DecodeError) as number[]).includes(start);
        expect(isError || (start >= offset && start <= offset + length)).toBe(true);
      }),
    );
  });
});

test("the plain codec adds nothing: an empty datagram is an empty packet", () => {
  const codec = createPlainUdpCodec();
  expect(codec).toMatchObject({ name: "udp", overhead: 0, defaultPort: 8285 });
  expect(codec.decode(new Uint8Array(10), 5, 0)).toBe(5);
});

test("the VXLAN codec says why a datagram isn't for it", () => {
  const codec = createVxlanCodec({ vni: 42 });
  const decode = (...bytes: number[]): number => codec.decode(Uint8Array.from(bytes), 0, bytes.length);
  expect(codec).toMatchObject({ name: "vxlan", overhead: 8, defaultPort: 4789 });
  expect(decode(8, 0, 0, 0, 0, 0, 42)).toBe(DecodeError.tooShort);
  expect(decode(0xf7, 0, 0, 0, 0, 0, 42, 0)).toBe(DecodeError.missingFlag);
  expect(decode(8, 0, 0, 0, 0, 0, 43, 0)).toBe(DecodeError.otherNetwork);
  expect(decode(0xff, 1, 2, 3, 0, 0, 42, 9)).toBe(8);
});
