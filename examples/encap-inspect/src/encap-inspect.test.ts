import { encodeVxlan } from "@loden/encap";
import { encodeIcmpEcho, encodeIpv4, encodeUdp } from "@loden/packet";
import { describe, expect, test } from "vitest";
import { explainFrame } from "./explain-frame.ts";
import { readCapture } from "./read-capture.ts";

const inner = encodeIpv4({
  source: 0x0a2a0102,
  destination: 0x0a2a0202,
  protocol: 1,
  ttl: 63,
  payload: encodeIcmpEcho({ identifier: 1, sequence: 7 }),
});

describe("explainFrame()", () => {
  test("explainFrame() explains a plain UDP packet", () => {
    expect(explainFrame(datagram(8285, inner))).toEqual({
      type: "packet",
      text: "192.0.2.1 -> 192.0.2.2  plain UDP  10.42.1.2 -> 10.42.2.2  ICMP echo request 7, TTL 63",
    });
  });

  test("explainFrame() explains a VXLAN packet with its network", () => {
    expect(explainFrame(datagram(8472, encodeVxlan(ethernet(inner), { vni: 42 })))).toEqual({
      type: "packet",
      text: "192.0.2.1 -> 192.0.2.2  VXLAN 42  10.42.1.2 -> 10.42.2.2  ICMP echo request 7, TTL 63",
    });
  });

  test("explainFrame() says that garbage on an encapsulation's port does not decode", () => {
    expect(explainFrame(datagram(8285, new Uint8Array([1, 2, 3])))).toMatchObject({ type: "broken" });
  });

  test("explainFrame() passes over everything else", () => {
    expect(explainFrame(datagram(53, inner))).toEqual({ type: "other" });
    expect(explainFrame({ linkType: 1, bytes: new Uint8Array(5) })).toEqual({ type: "other" });
    expect(explainFrame({ linkType: 101, bytes: new Uint8Array(40).fill(255) })).toEqual({ type: "other" });
  });
});

describe("readCapture()", () => {
  const frame = datagram(8285, inner).bytes;

  test.each([true, false])(
    "readCapture() reads pcap when little-endian is %s, without a last frame that is cut off",
    (little) => {
      const file = new Uint8Array(24 + 2 * (16 + frame.length) - 1);
      const view = new DataView(file.buffer);
      view.setUint32(0, 0xa1b2c3d4, little);
      view.setUint32(20, 1, little);
      for (const at of [24, 24 + 16 + frame.length]) {
        view.setUint32(at + 8, frame.length, little);
        file.set(frame.subarray(0, file.length - at - 16), at + 16);
      }
      expect(readCapture(file)).toEqual([{ linkType: 1, bytes: frame }]);
    },
  );

  test("readCapture() reads pcapng", () => {
    const padded = Math.ceil(frame.length / 4) * 4;
    const file = new Uint8Array(28 + 20 + 32 + padded);
    const view = new DataView(file.buffer);
    const words = [
      0x0a0d0d0a,
      28,
      0x1a2b3c4d,
      1,
      -1,
      -1,
      28,
      1,
      20,
      101,
      65_535,
      20,
      6,
      32 + padded,
      0,
      0,
      0,
      frame.length,
      frame.length,
    ];
    words.forEach((word, i) => view.setInt32(i * 4, word, true));
    file.set(frame, 28 + 20 + 28);
    view.setUint32(file.length - 4, 32 + padded, true);
    expect(readCapture(file)).toEqual([{ linkType: 101, bytes: frame }]);
  });

  test("readCapture() refuses another file", () => {
    expect(() => readCapture(new TextEncoder().encode("this is no capture at all"))).toThrow(SyntaxError);
    expect(() => readCapture(new Uint8Array(3))).toThrow(SyntaxError);
  });
});

function datagram(port: number, payload: Uint8Array): { linkType: number; bytes: Uint8Array } {
  const ends = { source: 0xc0000201, destination: 0xc0000202 };
  const udp = encodeUdp({ ...ends, sourcePort: 40_000, destinationPort: port, payload });
  return { linkType: 1, bytes: ethernet(encodeIpv4({ ...ends, protocol: 17, payload: udp })) };
}

function ethernet(packet: Uint8Array): Uint8Array {
  return Uint8Array.from([...new Uint8Array(12), 8, 0, ...packet]);
}
