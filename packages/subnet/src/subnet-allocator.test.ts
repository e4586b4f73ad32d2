import { Address, addressBits, type AddressFamily, parsePrefix, Prefix } from "@loden/ip";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { familyNetwork, type NetworkConfig } from "./network-config.ts";
import { parseNetworkConfig } from "./parse-network-config.ts";
import { createSubnetAllocator } from "./subnet-allocator.ts";
import { SubnetExhaustedError } from "./subnet-exhausted-error.ts";
import { formatSubnet, type Subnet } from "./subnet.ts";

const small = parseNetworkConfig(`{"Network":"10.5.0.0/24","SubnetLen":28}`);
const smallDual = parseNetworkConfig(
  `{"Network":"10.5.0.0/24","SubnetLen":26,"EnableIPv6":true,"IPv6Network":"fd00::/60"}`,
);

describe("createSubnetAllocator()", () => {
  test("allocate() takes the lowest free subnet when sequential", () => {
    const allocator = createSubnetAllocator(smallDual, { strategy: "sequential" });
    expect(formatSubnet(allocator.allocate())).toBe("10.5.0.64/26 fd00:0:0:1::/64");
    const second = allocator.allocate();
    allocator.allocate();
    expect(allocator.free(second)).toBe(true);
    expect(formatSubnet(allocator.allocate())).toBe("10.5.0.128/26 fd00:0:0:2::/64");
  });

  test("allocate() hands out each subnet once and then throws ERR_SUBNET_EXHAUSTED", () => {
    const allocator = createSubnetAllocator(small);
    const texts = Array.from({ length: 15 }, () => formatSubnet(allocator.allocate()));
    expect(new Set(texts)).toEqual(new Set([...parsePrefix("10.5.0.0/24").subnets(28)].slice(1).map(String)));
    expect(() => allocator.allocate()).toThrow(
      "Cannot allocate subnet: every /28 of 10.5.0.0/24 from 10.5.0.16 to 10.5.0.240 is reserved, expected a free one",
    );
    expect(() => allocator.allocate()).toThrow(expect.objectContaining({ code: "ERR_SUBNET_EXHAUSTED" }));
    allocator.free(parsePrefix("10.5.0.32/28"));
    expect(formatSubnet(allocator.allocate())).toBe("10.5.0.32/28");
  });

  test("allocate() reserves nothing when one family is exhausted", () => {
    const allocator = createSubnetAllocator(smallDual);
    allocator.reserve(parsePrefix("fd00::/48"));
    expect(() => allocator.allocate()).toThrow(SubnetExhaustedError);
    expect(allocator.available).toEqual({ ipv4: 3n, ipv6: 0n });
  });

  test("allocate() takes what is preferred when it is free, each family by itself", () => {
    const allocator = createSubnetAllocator(smallDual, { strategy: "sequential" });
    const preferred = { ipv4: parsePrefix("10.5.0.192/26"), ipv6: parsePrefix("fd00:0:0:9::/64") };
    expect(allocator.allocate({ preferred })).toEqual(preferred);
    const other = { ipv4: preferred.ipv4, ipv6: parsePrefix("fd00:0:0:8::/64") };
    expect(formatSubnet(allocator.allocate({ preferred: other }))).toBe("10.5.0.64/26 fd00:0:0:8::/64");
  });

  test.each(["10.5.0.0/28", "10.5.0.16/27", "10.5.0.16/29", "10.6.0.16/28", "fd00::/64"])(
    "allocate() passes over the preference %s when it is no subnet of the network",
    (text) => {
      const allocator = createSubnetAllocator(small, { strategy: "sequential" });
      expect(formatSubnet(allocator.allocate({ preferred: { ipv4: parsePrefix(text) } }))).toBe(
        "10.5.0.16/28",
      );
    },
  );

  test.each([
    ["10.0.0.0/8", 0n],
    ["10.5.0.0/24", 0n],
    ["10.5.0.0/25", 8n],
    ["10.5.0.32/27", 13n],
    ["10.5.0.32/28", 14n],
    ["10.5.0.32/29", 14n],
    ["10.5.0.47/32", 14n],
    ["10.5.0.0/28", 15n],
    ["10.5.1.0/24", 15n],
    ["10.4.0.0/16", 15n],
    ["fd00::/8", 15n],
  ])("reserve() of %s leaves %s free, and free() restores all", (text, free) => {
    const allocator = createSubnetAllocator(small);
    const prefix = parsePrefix(text);
    allocator.reserve(prefix);
    expect(allocator.available).toEqual({ ipv4: free, ipv6: undefined });
    expect(allocator.free(prefix)).toBe(prefix.family === 4);
    expect(allocator.available).toEqual({ ipv4: 15n, ipv6: undefined });
    expect(allocator.free(prefix)).toBe(false);
  });

  test("free() leaves what overlaps reserved", () => {
    const allocator = createSubnetAllocator(small);
    const texts = [
      "10.5.0.16/28",
      "10.5.0.16/29",
      "10.5.0.24/32",
      "10.5.0.0/27",
      "10.5.0.0/25",
      "10.5.0.0/16",
    ];
    const prefixes = texts.map((text) => parsePrefix(text));
    for (const prefix of prefixes) allocator.reserve(prefix);
    for (const prefix of prefixes) {
      expect(allocator.isFree(parsePrefix("10.5.0.16/28"))).toBe(false);
      allocator.free(prefix);
    }
    expect(allocator.isFree(parsePrefix("10.5.0.16/28"))).toBe(true);
  });

  test("free() has to be called as often as reserve() was", () => {
    const allocator = createSubnetAllocator(small);
    for (const text of ["10.5.0.16/28", "10.5.0.0/26"]) {
      const prefix = parsePrefix(text);
      for (let count = 0; count < 3; count += 1) allocator.reserve(prefix);
      expect([allocator.free(prefix), allocator.free(prefix)]).toEqual([true, true]);
      expect(allocator.isFree(parsePrefix("10.5.0.16/28"))).toBe(false);
      expect([allocator.free(prefix), allocator.free(prefix)]).toEqual([true, false]);
    }
  });

  test("isFree() asks for a whole subnet of the network", () => {
    const allocator = createSubnetAllocator(smallDual);
    expect(
      allocator.isFree({ ipv4: parsePrefix("10.5.0.64/26"), ipv6: parsePrefix("fd00:0:0:1::/64") }),
    ).toBe(true);
    expect(allocator.isFree({ ipv4: parsePrefix("10.5.0.64/26"), ipv6: parsePrefix("fd00::/64") })).toBe(
      false,
    );
    expect(allocator.isFree(parsePrefix("10.5.0.64/27"))).toBe(false);
    expect(createSubnetAllocator(small).isFree(parsePrefix("fd00:0:0:1::/64"))).toBe(false);
  });

  test.each([Number.NaN, 1, -0.1])("allocate() throws RangeError when random() gives %d", (chance) => {
    const allocator = createSubnetAllocator(small, { random: () => chance });
    expect(() => allocator.allocate()).toThrow(RangeError);
  });

  test("allocate() draws evenly among the free subnets when the random numbers are even", () => {
    const allocator = createSubnetAllocator(small, { random: sweep(1300) });
    for (const text of ["10.5.0.48/28", "10.5.0.128/28"]) allocator.reserve(parsePrefix(text));
    const counts = new Map<string, number>();
    for (let draw = 0; draw < 1300; draw += 1) {
      const subnet = allocator.allocate();
      counts.set(formatSubnet(subnet), (counts.get(formatSubnet(subnet)) ?? 0) + 1);
      allocator.free(subnet);
    }
    expect([...counts.values()]).toEqual(Array.from({ length: 13 }, () => 100));
  });
});

/** The numbers from 0 to below 1 in even steps, each in the middle of its step. */
function sweep(steps: number): () => number {
  let step = 0;
  return () => (step++ + 0.5) / steps;
}

/** Networks from tiny to the tallest there are, ranges included. */
const configs = [
  small,
  smallDual,
  parseNetworkConfig(`{"Network":"10.5.0.0/28"}`),
  parseNetworkConfig(`{"Network":"10.5.0.0/23","SubnetLen":30}`),
  parseNetworkConfig(
    `{"Network":"10.5.0.0/24","SubnetLen":30,"SubnetMin":"10.5.0.52","SubnetMax":"10.5.0.204"}`,
  ),
  parseNetworkConfig(`{"Network":"255.255.255.0/24","SubnetLen":29,"SubnetMin":"255.255.255.0"}`),
];

describe("SubnetAllocator compared with a list", () => {
  test("reserve(), free(), allocate(), isFree() and available agree with a list of reservations", () => {
    const spot = fc.tuple(fc.nat(63), fc.constantFrom(-4, -2, -1, 0, 0, 0, 0, 1, 2));
    const step = fc.tuple(
      fc.constantFrom("reserve", "reserve", "free", "allocate", "freeLast"),
      spot,
      fc.double({ min: 0, max: 0.999, noNaN: true }),
    );
    fc.assert(
      fc.property(fc.constantFrom(...configs), fc.array(step, { maxLength: 80 }), (config, steps) => {
        let chance = 0;
        const allocator = createSubnetAllocator(config, { random: () => chance });
        const model = createModel(config);
        const allocated: Prefix[] = [];
        for (const [verb, where, random] of steps) {
          const prefix = prefixAt(config, where);
          chance = random;
          const target = verb === "freeLast" ? (allocated.pop() ?? prefix) : prefix;
          const action = verb === "freeLast" ? "free" : verb;
          const expected = model[action](target, chance);
          if (verb === "allocate") allocated.push(...prefixesOf(expected as Subnet | undefined));
          expect(attempt(() => allocator[action](target as Prefix & { preferred: undefined }))).toEqual(
            expected,
          );
          expect(allocator.available).toEqual(model.available());
          expect(allocator.isFree(prefix)).toBe(model.isFree(prefix));
        }
      }),
      { numRuns: 1500 },
    );
  });

  test("allocate() agrees with a list when only a corner of a huge network is free", () => {
    const tall = parseNetworkConfig(
      `{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"3000::/4","IPv6SubnetLen":126}`,
    );
    const allocator = createSubnetAllocator(tall, { strategy: "sequential" });
    expect(allocator.available.ipv6).toBe(2n ** 122n - 1n);
    // All but 2^122 / 2^k for growing k: one half after the other.
    for (let length = 5; length <= 122; length += 1) {
      allocator.reserve(new Prefix(new Address(6, 0x3n << 124n), length).next() as Prefix);
    }
    expect(allocator.available.ipv6).toBe(15n);
    expect(formatSubnet(allocator.allocate())).toBe("3000::4/126");
    for (let length = 122; length >= 5; length -= 1) {
      expect(allocator.free(new Prefix(new Address(6, 0x3n << 124n), length).next() as Prefix)).toBe(true);
    }
    expect(allocator.available.ipv6).toBe(2n ** 122n - 2n);
  });

  test("allocate() reaches both ends of a huge network when chance says so", () => {
    const tall = parseNetworkConfig(
      `{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00::/7","IPv6SubnetLen":126}`,
    );
    let chance = 0;
    const allocator = createSubnetAllocator(tall, { random: () => chance });
    expect(formatSubnet(allocator.allocate())).toBe("fc00::4/126");
    chance = 1 - 2 ** -53;
    expect(formatSubnet(allocator.allocate())).toBe("fdff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126");
  });

  test("allocate() hands out every /24 of a /8 once, then is exhausted", () => {
    const allocator = createSubnetAllocator(parseNetworkConfig(`{"Network":"10.0.0.0/8"}`));
    const seen = new Set<bigint>();
    for (let count = 0; count < 65_535; count += 1)
      seen.add((allocator.allocate().ipv4 as Prefix).address.value);
    expect(seen.size).toBe(65_535);
    expect(() => allocator.allocate()).toThrow(SubnetExhaustedError);
  });

  test("allocate() finds the last free /28 of a /4", () => {
    const allocator = createSubnetAllocator(parseNetworkConfig(`{"Network":"16.0.0.0/4","SubnetLen":28}`));
    const last = parsePrefix("23.45.67.80/28");
    for (let length = 5; length <= 28; length += 1) {
      const sibling = new Prefix(new Address(4, last.address.value ^ (1n << BigInt(32 - length))), length);
      allocator.reserve(sibling);
    }
    expect(allocator.available.ipv4).toBe(1n);
    expect(allocator.allocate()).toEqual({ ipv4: last });
  });
});

/** A prefix in or near a network of the config: a subnet number that may be beyond it, made wider or narrower. */
function prefixAt(config: NetworkConfig, [slot, widen]: readonly [number, number]): Prefix {
  const family: AddressFamily = config.ipv6 !== undefined && slot % 2 === 1 ? 6 : 4;
  const { network, subnetLength } = familyNetwork(config, family) as NonNullable<NetworkConfig["ipv4"]>;
  const bits = addressBits(family);
  const value = (network.address.value + (BigInt(slot) << BigInt(bits - subnetLength))) % 2n ** BigInt(bits);
  return new Prefix(new Address(family, value), Math.min(subnetLength - widen, bits));
}

function prefixesOf(subnet: Subnet | undefined): Prefix[] {
  return [subnet?.ipv4, subnet?.ipv6].filter((prefix) => prefix !== undefined);
}

/** What a call returns, `undefined` when there is nothing left to allocate. */
function attempt<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (error instanceof SubnetExhaustedError) return undefined;
    throw error;
  }
}

/** The same with a list that is scanned: slow, and plainly right. */
function createModel(config: NetworkConfig) {
  const reserved: Prefix[] = [];
  const all = { 4: subnetsOf(config, 4), 6: subnetsOf(config, 6) };
  const freeOf = (family: AddressFamily): Prefix[] | undefined =>
    all[family]?.filter((subnet) => !reserved.some((prefix) => prefix.overlaps(subnet)));
  return {
    reserve(prefix: Prefix): void {
      reserved.push(prefix);
    },
    free(prefix: Prefix): boolean {
      const index = reserved.findIndex((member) => member.equals(prefix));
      if (index !== -1) reserved.splice(index, 1);
      return index !== -1;
    },
    allocate(_: Prefix, chance: number): Subnet | undefined {
      const [ipv4, ipv6] = [freeOf(4), freeOf(6)];
      if (ipv4?.length === 0 || ipv6?.length === 0) return undefined;
      const subnet: Subnet = {
        ...(ipv4 && { ipv4: ipv4[Math.floor(chance * ipv4.length)] }),
        ...(ipv6 && { ipv6: ipv6[Math.floor(chance * ipv6.length)] }),
      };
      reserved.push(...prefixesOf(subnet));
      return subnet;
    },
    isFree: (prefix: Prefix): boolean => freeOf(prefix.family)?.some((free) => free.equals(prefix)) ?? false,
    available: () => ({ ipv4: sizeOf(freeOf(4)), ipv6: sizeOf(freeOf(6)) }),
  };
}

function sizeOf(list: readonly unknown[] | undefined): bigint | undefined {
  return list && BigInt(list.length);
}

function subnetsOf(config: NetworkConfig, family: AddressFamily): Prefix[] | undefined {
  const network = familyNetwork(config, family);
  return (
    network &&
    [...network.network.subnets(network.subnetLength)].filter(
      ({ address }) => address.compare(network.subnetMin) >= 0 && address.compare(network.subnetMax) <= 0,
    )
  );
}
