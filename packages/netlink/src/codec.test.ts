import { Address, Prefix } from "@loden/ip";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeAddress, encodeAddress } from "./address-message.ts";
import { decodeAttributes, encodeAttributes } from "./attribute.ts";
import { decodeLink, encodeLink } from "./link-message.ts";
import { decodeMessages, encodeMessages, MessageType } from "./message.ts";
import { decodeNeighbour, encodeNeighbour } from "./neighbour-message.ts";
import { decodeRoute, encodeRoute } from "./route-message.ts";
import { decodeRule, encodeRule, type RuleMessage } from "./rule-message.ts";
import { decodeStatus } from "./status.ts";

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const value = fc.uint8Array({ maxLength: 40 });
const attribute = fc.record({
  type: fc.integer({ min: 0, max: 0x3fff }),
  flags: fc.constantFrom(0, 0x8000, 0x4000),
  value,
});
const text = fc.stringMatching(/^[a-z0-9._-]{1,15}$/);
const mac = fc.uint8Array({ minLength: 6, maxLength: 6 });
const address4 = fc.bigInt({ min: 0n, max: 0xffff_ffffn }).map((number) => new Address(4, number));
const address6 = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }).map((number) => new Address(6, number));

const vxlanInfo = some({
  id: u32,
  group: fc.oneof(address4, address6),
  link: u32,
  local: fc.oneof(address4, address6),
  ttl: u8,
  tos: u8,
  learning: fc.boolean(),
  ageing: u32,
  limit: u32,
  proxy: fc.boolean(),
  rsc: fc.boolean(),
  l2miss: fc.boolean(),
  l3miss: fc.boolean(),
  port: u16,
  udpCsum: fc.boolean(),
  udp6ZeroCsumTx: fc.boolean(),
  udp6ZeroCsumRx: fc.boolean(),
  gbp: fc.constant(true),
  collectMetadata: fc.boolean(),
  ttlInherit: fc.constant(true),
  df: u8,
});

/** Records whose optional members are present or absent, never undefined: that is what decoders give. */
function message<T extends object>(
  required: fc.Arbitrary<T>,
  optional: fc.Arbitrary<object>,
): fc.Arbitrary<T> {
  return fc.tuple(required, optional).map(([a, b]) => ({ ...a, ...b }));
}

function some<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<Partial<T>> {
  return fc.record(model, { requiredKeys: [] }) as fc.Arbitrary<Partial<T>>;
}

/** Attributes to keep verbatim: of types that have no field. */
function others(types: number): fc.Arbitrary<object> {
  const other = fc.array(
    attribute.map((each) => ({ ...each, type: 1000 + (each.type % types) })),
    { minLength: 1, maxLength: 3 },
  );
  return some({ other });
}

describe("framing", () => {
  test("decodeMessages() gives what encodeMessages() was given", () => {
    const header = { type: fc.integer({ max: 0xffff, min: 0 }), flags: fc.integer({ max: 0xffff, min: 0 }) };
    const netlinkMessage = fc.record({ ...header, sequence: u32, portId: u32, payload: value });
    fc.assert(
      fc.property(fc.array(netlinkMessage), (messages) => {
        expect(decodeMessages(encodeMessages(messages))).toEqual(messages);
      }),
    );
  });

  test("decodeAttributes() gives what encodeAttributes() was given, nested ones too", () => {
    fc.assert(
      fc.property(fc.array(attribute), (attributes) => {
        expect(decodeAttributes(encodeAttributes(attributes))).toEqual(attributes);
        const [outer] = decodeAttributes(
          encodeAttributes([{ type: 1, flags: 0x8000, value: encodeAttributes(attributes) }]),
        );
        expect(decodeAttributes(outer!.value)).toEqual(attributes);
      }),
    );
  });

  test("decodeMessages() throws RangeError when a message is cut off", () => {
    const bytes = encodeMessages([
      { type: 16, flags: 0, sequence: 1, portId: 0, payload: new Uint8Array(20) },
    ]);
    for (let length = 1; length < bytes.length; length++)
      expect(() => decodeMessages(bytes.subarray(0, length))).toThrow(RangeError);
    expect(decodeMessages(bytes.subarray(0, 0))).toEqual([]);
  });

  test("encodeAttributes() throws RangeError when a value is too long", () => {
    expect(() => encodeAttributes([{ type: 1, flags: 0, value: new Uint8Array(65_532) }])).toThrow(
      RangeError,
    );
  });
});

describe("messages", () => {
  test("decodeLink() gives what encodeLink() was given", () => {
    const header = fc.record({
      family: u8,
      deviceType: fc.integer({ max: 0xffff, min: 0 }),
      index: u32,
      flags: u32,
      changeMask: u32,
    });
    const fields = {
      name: text,
      mtu: u32,
      link: u32,
      master: u32,
      queueLength: u32,
      group: u32,
      netnsFd: u32,
      linkNetnsId: u32,
    };
    const plain = message(
      header,
      some({ ...fields, hardwareAddress: mac, operationalState: u8, addrGenMode: u8 }),
    );
    const data = fc.array(
      attribute.map((each) => ({ ...each, type: 1000 + (each.type % 99) })),
      { minLength: 1, maxLength: 3 },
    );
    const info = fc.oneof(
      fc.record({ kind: fc.constant("veth"), peer: plain }),
      message(
        fc.record({
          kind: fc.constant("bridge"),
          bridge: some({ forwardDelay: u32, ageingTime: u32, stpState: u32, vlanFiltering: fc.boolean() }),
        }),
        some({ data }),
      ),
      fc.record({
        kind: fc.constant("tun"),
        tun: some({
          type: u8,
          packetInformation: fc.boolean(),
          virtioHeader: fc.boolean(),
          persistent: fc.boolean(),
          multiQueue: fc.boolean(),
        }),
      }),
      message(
        fc.record({ kind: fc.constant("vxlan"), vxlan: vxlanInfo }),
        some({ data, other: data.map((each) => each.map((entry) => ({ ...entry, type: 5 }))) }),
      ),
      fc.record({ kind: fc.constant("vlan"), vlan: some({ id: u16, protocol: u16 }) }),
      fc.record({
        kind: fc.constant("bond"),
        bond: some({ mode: u8, activePort: u32, miimon: u32, transmitHashPolicy: u8 }),
      }),
      message(fc.record({ kind: fc.constant("dummy") }), some({ data })),
    );
    fc.assert(
      fc.property(message(message(plain, some({ info })), others(99)), (link) => {
        expect(decodeLink(encodeLink(link))).toEqual(link);
      }),
    );
  });

  test("decodeAddress() gives what encodeAddress() was given", () => {
    const base = { interfaceIndex: u32, scope: u8, flags: u32 };
    const one = (
      address: fc.Arbitrary<Address>,
      bits: number,
    ): fc.Arbitrary<Parameters<typeof encodeAddress>[0]> =>
      message(
        message(
          fc.record({ ...base, address, prefixLength: fc.integer({ min: 0, max: bits }) }),
          some({ peer: address, broadcast: address, label: text }),
        ),
        others(99),
      );
    fc.assert(
      fc.property(fc.oneof(one(address4, 32), one(address6, 128)), (address) => {
        const { peer, ...rest } = address;
        expect(decodeAddress(encodeAddress(address))).toEqual(
          peer === undefined || peer.equals(address.address) ? rest : address,
        );
      }),
    );
  });

  test("decodeNeighbour() gives what encodeNeighbour() was given", () => {
    const header = fc.record({
      family: u8,
      interfaceIndex: u32,
      state: fc.integer({ max: 0xffff, min: 0 }),
      flags: u8,
      type: u8,
    });
    const fields = some({
      destination: fc.oneof(address4, address6),
      hardwareAddress: mac,
      vlan: u16,
      port: u16,
      vni: u32,
      lowerIndex: u32,
      master: u32,
      protocol: u8,
    });
    fc.assert(
      fc.property(message(message(header, fields), others(99)), (neighbour) => {
        expect(decodeNeighbour(encodeNeighbour(neighbour))).toEqual(neighbour);
      }),
    );
  });

  test("decodeRule() gives what encodeRule() was given", () => {
    const one = (address: fc.Arbitrary<Address>, family: 4 | 6): fc.Arbitrary<RuleMessage> => {
      const prefix = fc
        .tuple(address, fc.integer({ min: 1, max: family === 4 ? 32 : 128 }))
        .map(([base, length]) => new Prefix(base, length));
      const fields = some({
        from: prefix,
        to: prefix,
        priority: u32,
        mark: u32,
        markMask: u32,
        inputLink: text,
        outputLink: text,
        suppressPrefixLength: u32,
        protocol: u8,
        typeOfService: fc.integer({ min: 1, max: 255 }),
      });
      const header = fc.record({
        family: fc.constant(family),
        action: u8,
        table: fc.oneof(u8, u32),
        flags: u32,
      });
      return message(message<RuleMessage>(header, fields), others(99));
    };
    fc.assert(
      fc.property(fc.oneof(one(address4, 4), one(address6, 6)), (rule) => {
        expect(decodeRule(encodeRule(rule))).toEqual(rule);
      }),
    );
  });

  test("decodeRoute() gives what encodeRoute() was given", () => {
    const header = { table: fc.oneof(u8, u32), protocol: u8, scope: u8, type: u8, flags: u32 };
    const gateway = fc.oneof(address4, address6);
    const one = (
      address: fc.Arbitrary<Address>,
      bits: number,
    ): fc.Arbitrary<Parameters<typeof encodeRoute>[0]> => {
      const prefix = fc
        .tuple(address, fc.integer({ min: 0, max: bits }))
        .map(([base, length]) => new Prefix(base, length));
      const hop = message(
        fc.record({ interfaceIndex: u32, weight: fc.integer({ min: 1, max: 256 }), flags: u8 }),
        some({ gateway }),
      );
      const fields = some({
        gateway,
        interfaceIndex: u32,
        source: address,
        metric: u32,
        metrics: some({ lock: u32, mtu: u32, advertisedMss: u32, hopLimit: u32, initialWindow: u32 }),
        nextHops: fc.array(hop, { maxLength: 3 }),
        from: prefix.filter(({ length }) => length > 0),
        typeOfService: fc.integer({ min: 1, max: 255 }),
      });
      return message(message(fc.record({ ...header, destination: prefix }), fields), others(99));
    };
    fc.assert(
      fc.property(fc.oneof(one(address4, 32), one(address6, 128)), (route) => {
        expect(decodeRoute(encodeRoute(route))).toEqual(route);
      }),
    );
  });

  test("decoders throw nothing but RangeError when the bytes are garbage", () => {
    const payload = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc
        .tuple(
          fc.constantFrom(2, 7, 10),
          fc.uint8Array({ minLength: 15, maxLength: 15 }),
          fc.array(attribute),
        )
        .map(([family, header, attributes]) =>
          Uint8Array.from([family, ...header, ...encodeAttributes(attributes)]),
        ),
    );
    const decoders = [
      decodeMessages,
      decodeAttributes,
      decodeLink,
      decodeAddress,
      decodeNeighbour,
      decodeRoute,
      (bytes: Uint8Array) =>
        decodeStatus({ type: MessageType.error, flags: 0x200, sequence: 0, portId: 0, payload: bytes }),
    ];
    fc.assert(
      fc.property(payload, fc.constantFrom(...decoders), (bytes, decode) => {
        expect(outcome(() => decode(bytes))).not.toBeInstanceOf(Error);
      }),
      { numRuns: 2000 },
    );
  });
});

/** What `decode` returns, or throws if that is anything but a RangeError. */
function outcome(decode: () => unknown): unknown {
  try {
    return decode();
  } catch (error) {
    return error instanceof RangeError ? undefined : error;
  }
}

describe("decodeStatus()", () => {
  const header = [20, 0, 0, 0, 16, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0];

  test("decodeStatus() reads the attribute's offset and the missing type when the request is capped", () => {
    const extended = encodeAttributes([
      { type: 1, flags: 0, value: new TextEncoder().encode("no\0") },
      { type: 2, flags: 0, value: Uint8Array.of(24, 0, 0, 0) },
      { type: 5, flags: 0, value: Uint8Array.of(3, 0, 0, 0) },
    ]);
    const payload = Uint8Array.from([0xea, 0xff, 0xff, 0xff, ...header, ...extended]);
    expect(decodeStatus({ type: 2, flags: 0x300, sequence: 1, portId: 0, payload })).toEqual({
      errno: 22,
      detail: "no",
      offset: 24,
      missingType: 3,
    });
  });

  test("decodeStatus() says success when a done message is empty", () => {
    expect(decodeStatus({ type: 3, flags: 2, sequence: 1, portId: 0, payload: new Uint8Array() })).toEqual({
      errno: 0,
    });
  });

  test("decodeStatus() throws TypeError when the message is another one", () => {
    expect(() =>
      decodeStatus({ type: 16, flags: 0, sequence: 1, portId: 0, payload: new Uint8Array(16) }),
    ).toThrow(TypeError);
  });
});
