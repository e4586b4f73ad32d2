import { parseAddress, parsePrefix } from "@loden/ip";
import { createNetns, type Netns } from "@loden/netns";
import { openRtnetlink, type Rtnetlink } from "@loden/rtnetlink";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openReachability, type Reachability } from "./open-reachability.ts";

// +------- host -------+        +-- other --+
// | wire 10.0.0.1/24   |--veth--| wire      |    198.51.100.0/24 and fd01::/64 lie behind 10.0.0.9 and fd00::9
// | wire fd00::1/64    |        +-----------+
// +--------------------+
let host: Netns;
let other: Netns;
let kernel: Rtnetlink;
let reachability: Reachability;

beforeEach(async () => {
  host = createNetns();
  other = createNetns();
  kernel = openRtnetlink({ netns: host });
  const quiet = { addrGenMode: "none", up: true } as const;
  await kernel.links.set("lo", { up: true });
  await kernel.links.add({
    name: "wire",
    kind: "veth",
    ...quiet,
    peer: { name: "wire", netns: other, ...quiet },
  });
  await kernel.addresses.add({ link: "wire", address: parseAddress("10.0.0.1"), prefixLength: 24 });
  const ipv6 = { address: parseAddress("fd00::1"), prefixLength: 64, duplicateDetection: false };
  await kernel.addresses.add({ link: "wire", ...ipv6 });
  await kernel.routes.addMany([
    { destination: parsePrefix("198.51.100.0/24"), gateway: parseAddress("10.0.0.9") },
    { destination: parsePrefix("fd01::/64"), gateway: parseAddress("fd00::9") },
    { destination: parsePrefix("203.0.113.0/24"), type: "blackhole" },
  ]);
  reachability = openReachability({ netns: host });
});

afterEach(() => {
  reachability.close();
  kernel.close();
  host.close();
  other.close();
});

describe("reach()", () => {
  test.each([
    ["10.0.0.2", { kind: "neighbour", link: "wire" }],
    ["fd00::2", { kind: "neighbour", link: "wire" }],
    ["198.51.100.1", { kind: "router", link: "wire", router: parseAddress("10.0.0.9") }],
    ["fd01::1", { kind: "router", link: "wire", router: parseAddress("fd00::9") }],
    ["10.0.0.1", { kind: "own" }],
    ["fd00::1", { kind: "own" }],
    ["192.0.2.1", { kind: "unreachable" }],
    ["fd02::1", { kind: "unreachable" }],
    ["203.0.113.1", { kind: "unreachable" }],
  ])("reach() says how %s is reached", async (address, reach) => {
    // The kernel adds the local route of an IPv6 address some time after the address.
    const answers = async (): Promise<unknown> => [...(await reachability.reach([parseAddress(address)]))];
    await expect.poll(answers).toEqual([[address, reach]]);
  });
});

describe("watch()", () => {
  const near = parseAddress("10.0.0.2");
  const far = parseAddress("198.51.100.1");

  test("watch() yields once when answers changed in a burst, and not for other changes", async () => {
    await reachability.reach([near, far]);
    const changes = reachability.watch()[Symbol.asyncIterator]();
    const change = changes.next();
    for (let number = 1; number < 100; number++)
      await kernel.routes.add({ destination: parsePrefix(`10.8.${number}.0/24`), link: "wire" });
    const moved = { destination: parsePrefix("198.51.100.0/24"), gateway: parseAddress("10.0.0.8") };
    await kernel.routes.replace(moved);
    await kernel.routes.replace({ ...moved, gateway: parseAddress("10.0.0.7") });
    expect(await change).toEqual({ done: false, value: undefined });
    const answer = async () => (await reachability.reach([far])).get("198.51.100.1");
    expect(await answer()).toMatchObject({ kind: "router", router: parseAddress("10.0.0.7") });
    // Nothing of the first burst waits: the next change that comes is the next one that is made.
    const next = changes.next();
    await kernel.routes.add({ destination: parsePrefix("10.9.0.0/16"), link: "wire" });
    await kernel.addresses.add({ link: "wire", address: parseAddress("198.51.100.2"), prefixLength: 24 });
    await kernel.routes.delete({
      destination: parsePrefix("198.51.100.0/24"),
      gateway: parseAddress("10.0.0.7"),
    });
    await next;
    expect(await answer()).toEqual({ kind: "neighbour", link: "wire" });
    await changes.return?.();
  });

  test("watch() yields when a link goes down, whose routes go without a word", async () => {
    await reachability.reach([near]);
    const changes = reachability.watch()[Symbol.asyncIterator]();
    const change = changes.next();
    await kernel.links.set("wire", { up: false });
    await change;
    expect((await reachability.reach([near])).get("10.0.0.2")).toEqual({ kind: "unreachable" });
    await changes.return?.();
  });

  test("watch() ends when it is closed, and rejects when it is aborted", async () => {
    const controller = new AbortController();
    const aborted = reachability.watch({ signal: controller.signal })[Symbol.asyncIterator]().next();
    const closed = reachability.watch()[Symbol.asyncIterator]().next();
    controller.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    reachability.close();
    expect(await closed).toEqual({ done: true, value: undefined });
  });
});
