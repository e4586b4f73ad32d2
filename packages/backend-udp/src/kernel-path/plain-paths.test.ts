import { type Address, addressFromNumber, parseAddress, parsePrefix } from "@loden/ip";
import type { ListedRoute, ListedRule, LookupManyOptions } from "@loden/rtnetlink";
import { describe, expect, test } from "vitest";
import { createPlainPaths, type PlainPaths } from "./plain-paths.ts";

const endpoint = parseAddress("192.0.2.7");
const source = parseAddress("192.0.2.1");
const plain: ListedRoute = {
  destination: parsePrefix("192.0.2.7/32"),
  table: 254,
  protocol: 0,
  scope: "global",
  type: "unicast",
  link: "eth0",
  linkIndex: 2,
};
const via = (text: string): ListedRoute => ({ ...plain, gateway: parseAddress(text) });
const rule = (priority: number, table: number): ListedRule => ({
  family: 4,
  priority,
  action: "lookup",
  table,
});
const defaultRules = [rule(0, 255), rule(32_766, 254), rule(32_767, 253)];

type Lookup = (endpoint: Address, options: LookupManyOptions) => ListedRoute | undefined;
interface Asked {
  readonly paths: PlainPaths;
  /** What was looked up, call by call. */
  readonly calls: { readonly addresses: readonly string[]; readonly options: LookupManyOptions }[];
}

/** Paths of which the kernel would say what `lookup` says. */
function pathsOf(
  lookup: Lookup,
  rules: readonly ListedRule[] = defaultRules,
  answered: Promise<void> = Promise.resolve(),
): Asked {
  const calls: Asked["calls"] = [];
  const paths = createPlainPaths(
    {
      rules: { list: async () => [...rules] },
      routes: {
        lookupMany: async (addresses, options = {}) => {
          const all = [...addresses];
          calls.push({ addresses: all.map(String), options });
          await answered;
          return all.map((address) => lookup(address, options));
        },
      },
    },
    { linkIndex: 2, linkMtu: 1500, source, port: 8285 },
  );
  return { paths, calls };
}

async function isPlain(lookup: Lookup, rules?: readonly ListedRule[]): Promise<boolean | undefined> {
  const { paths } = pathsOf(lookup, rules);
  await paths.resolve([endpoint]);
  return paths.isPlain(endpoint);
}

describe("isPlain()", () => {
  test("isPlain() knows nothing of an endpoint that was not looked up", async () => {
    const { paths } = pathsOf(() => plain);
    expect(paths.isPlain(endpoint)).toBeUndefined();
    await paths.resolve([endpoint]);
    expect([paths.isPlain(endpoint), paths.isPlain(endpoint.plus(1))]).toEqual([true, undefined]);
  });

  test.each<readonly [string, boolean, ListedRoute | undefined]>([
    ["leaves through the link", true, plain],
    ["leaves through the link by a gateway", true, via("192.0.2.254")],
    ["has the link's MTU", true, { ...plain, mtu: 1500 }],
    ["has a larger MTU", true, { ...plain, mtu: 9000 }],
    ["has a smaller MTU", false, { ...plain, mtu: 1499 }],
    ["leaves through another link", false, { ...plain, link: "eth1", linkIndex: 3 }],
    ["ends at this host", false, { ...plain, type: "local" }],
    ["is a broadcast", false, { ...plain, type: "broadcast" }],
    ["wraps packets in something", false, { ...plain, encapsulation: 1 }],
    ["is none", false, undefined],
  ])("isPlain() looks at the route: one that %s -> %s", async (_, expected, route) => {
    expect(await isPlain(() => route)).toBe(expected);
  });

  test("isPlain() wants the same next hop without ports and by the link when there are rules", async () => {
    const rules = [...defaultRules, rule(100, 7)];
    // Whoever sees the datagram's ports goes one way, whoever does not another.
    const lookup =
      (seen: ListedRoute, unseen: ListedRoute | undefined): Lookup =>
      (_, { sourcePort }) =>
        sourcePort === undefined ? unseen : seen;
    expect(await isPlain(lookup(via("192.0.2.254"), via("192.0.2.254")), rules)).toBe(true);
    expect(await isPlain(lookup(plain, plain), rules)).toBe(true);
    expect(await isPlain(lookup(via("192.0.2.254"), via("192.0.2.253")), rules)).toBe(false);
    expect(await isPlain(lookup(via("192.0.2.254"), plain), rules)).toBe(false);
    expect(await isPlain(lookup(plain, via("192.0.2.254")), rules)).toBe(false);
    expect(await isPlain(lookup(plain, undefined), rules)).toBe(false);
    expect(await isPlain(lookup(plain, { ...plain, type: "local" }), rules)).toBe(false);
    expect(await isPlain(lookup(plain, { ...plain, linkIndex: 3 }), rules)).toBe(false);
  });

  test("isPlain() refuses an IPv6 address", () => {
    expect(() => pathsOf(() => plain).paths.isPlain(parseAddress("::1"))).toThrow(TypeError);
  });
});

describe("resolve()", () => {
  test("resolve() asks for the datagram that is sent, and for the packet of the program when there are rules", async () => {
    const udp = { source, protocol: 17 };
    const asDatagram = { ...udp, sourcePort: 8285, destinationPort: 8285 };
    const asked = async (rules?: readonly ListedRule[]): Promise<LookupManyOptions[]> => {
      const { paths, calls } = pathsOf(() => plain, rules);
      await paths.resolve([endpoint]);
      return calls.map(({ options }) => options);
    };
    expect(await asked()).toEqual([asDatagram]);
    const asProgram = { ...udp, outputLinkIndex: 2 };
    const [local, main, standard] = defaultRules as [ListedRule, ListedRule, ListedRule];
    for (const rules of [
      [...defaultRules, rule(100, 254)],
      [local, main],
      [local, main, rule(32_767, 252)],
      [rule(1, 255), main, standard],
      [{ ...local, inputLink: "eth1" }, main, standard],
    ])
      expect(await asked(rules)).toEqual([asDatagram, asProgram]);
  });

  test("resolve() looks up what is unknown, each once, and nothing when all is known", async () => {
    const { paths, calls } = pathsOf(() => plain);
    await paths.resolve([endpoint, endpoint.plus(1), endpoint]);
    await paths.resolve([endpoint, endpoint.plus(2)]);
    await paths.resolve([endpoint]);
    await paths.resolve([]);
    expect(calls.map(({ addresses }) => addresses)).toEqual([["192.0.2.7", "192.0.2.8"], ["192.0.2.9"]]);
  });

  test("resolve() gives the event loop turns while it looks many up", async () => {
    const { paths, calls } = pathsOf((address) => (address.toNumber() % 3 === 0 ? undefined : plain));
    const endpoints = Array.from({ length: 1_000 }, (_, i) => addressFromNumber(0x0a00_0000 + i));
    let turns = 0;
    const turn = (): void => {
      turns++;
      immediate = setImmediate(turn);
    };
    let immediate = setImmediate(turn);
    await paths.resolve(endpoints);
    clearImmediate(immediate);
    expect(turns).toBeGreaterThanOrEqual(3);
    expect(calls).toHaveLength(4);
    expect(endpoints.map((one) => paths.isPlain(one))).toEqual(
      endpoints.map((one) => one.toNumber() % 3 !== 0),
    );
  });

  test("resolve() does not keep what was forgotten while it was looked up", async () => {
    const { promise, resolve: answer } = Promise.withResolvers<void>();
    const { paths, calls } = pathsOf(() => plain, defaultRules, promise);
    const resolving = paths.resolve([endpoint]);
    await expect.poll(() => calls).toHaveLength(1);
    paths.forget(parsePrefix("192.0.2.0/24"));
    answer();
    await resolving;
    expect(paths.isPlain(endpoint)).toBeUndefined();
  });

  test("resolve() rejects when its signal aborts or the kernel refuses, and can be called again", async () => {
    let refuses = true;
    const { paths } = pathsOf(() => {
      if (refuses) throw new Error("no memory");
      return plain;
    });
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(paths.resolve([endpoint], { signal })).rejects.toThrow("enough");
    await expect(paths.resolve([endpoint])).rejects.toThrow("no memory");
    await expect(paths.resolve([parseAddress("::1")])).rejects.toThrow(TypeError);
    refuses = false;
    await paths.resolve([endpoint]);
    expect(paths.isPlain(endpoint)).toBe(true);
  });
});

describe("forget()", () => {
  test.each<readonly [string | undefined, readonly boolean[]]>([
    [undefined, [false, false, false]],
    ["0.0.0.0/0", [false, false, false]],
    ["128.0.0.0/1", [true, false, false]],
    ["192.0.2.0/24", [true, false, true]],
    ["192.0.2.7/32", [true, false, true]],
    ["192.0.2.8/32", [true, true, true]],
    ["::/0", [true, true, true]],
  ])("forget() forgets the endpoints within %s alone", async (within, expected) => {
    const { paths } = pathsOf(() => plain);
    const endpoints = ["10.0.0.1", "192.0.2.7", "203.0.113.9"].map((text) => parseAddress(text));
    await paths.resolve(endpoints);
    paths.forget(within === undefined ? undefined : parsePrefix(within));
    expect(endpoints.map((one) => paths.isPlain(one) ?? false)).toEqual(expected);
  });
});

test("keepOnly() forgets all other endpoints", async () => {
  const { paths } = pathsOf(() => plain);
  const endpoints = [endpoint, endpoint.plus(1), endpoint.plus(2)];
  await paths.resolve(endpoints);
  expect(paths.size).toBe(3);
  paths.keepOnly(new Set([endpoint.plus(1).toNumber(), endpoint.plus(9).toNumber()]));
  expect({ size: paths.size, known: endpoints.map((one) => paths.isPlain(one)) }).toEqual({
    size: 1,
    known: [undefined, true, undefined],
  });
});
