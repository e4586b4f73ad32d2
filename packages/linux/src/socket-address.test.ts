import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeSocketAddress, encodeSocketAddress } from "./socket-address.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("encodeSocketAddress()", () => {
  test("encodeSocketAddress() writes a sockaddr_in", () => {
    //                      family port address  padding
    expect(hex(encodeSocketAddress(Uint8Array.of(10, 0, 0, 1), 8285))).toBe(
      "0200205d0a0000010000000000000000",
    );
  });

  test("encodeSocketAddress() writes a sockaddr_in6", () => {
    const address = Uint8Array.of(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
    //   family port flow label, address, scope
    expect(hex(encodeSocketAddress(address, 53))).toBe(
      "0a00003500000000fd00000000000000000000000000000100000000",
    );
  });

  test("encodeSocketAddress() refuses an address of another length", () => {
    expect(() => encodeSocketAddress(new Uint8Array(6), 1)).toThrow(RangeError);
  });
});

describe("decodeSocketAddress()", () => {
  test("decodeSocketAddress() gives back what encodeSocketAddress() wrote", () => {
    const address = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    );
    fc.assert(
      fc.property(address, fc.nat(65_535), (bytes, port) => {
        expect(decodeSocketAddress(encodeSocketAddress(bytes, port))).toEqual({
          address: new Uint8Array(bytes),
          port,
        });
      }),
    );
  });

  test("decodeSocketAddress() reads a view into a larger buffer", () => {
    const whole = new Uint8Array(64);
    whole.set(encodeSocketAddress(Uint8Array.of(1, 2, 3, 4), 5), 20);
    expect(decodeSocketAddress(whole.subarray(20, 36))).toEqual({
      address: Uint8Array.of(1, 2, 3, 4),
      port: 5,
    });
  });

  test("decodeSocketAddress() gives undefined for another family or too few bytes", () => {
    const netlink = encodeSocketAddress(Uint8Array.of(1, 2, 3, 4), 5);
    netlink[0] = 16;
    expect(decodeSocketAddress(netlink)).toBeUndefined();
    expect(decodeSocketAddress(new Uint8Array(0))).toBeUndefined();
    expect(decodeSocketAddress(encodeSocketAddress(new Uint8Array(16), 5).subarray(0, 20))).toBeUndefined();
  });
});
