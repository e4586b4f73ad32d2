import { execFileSync } from "node:child_process";
import { parseAddress, parsePrefix, type Prefix } from "@loden/ip";
import { createNetns, type Netns } from "@loden/netns";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { formatFdbEntry } from "./fdb/format-fdb-entry.ts";
import { openRtnetlink, type Rtnetlink } from "./open-rtnetlink.ts";
import { formatRoute } from "./routes/format-route.ts";
import { formatRule } from "./rules/format-rule.ts";
import type { RtnetlinkEvent } from "./watch.ts";

// +----- host -----+
// | br0, a bridge  |
// +----------------+
let host: Netns;
let kernel: Rtnetlink;

beforeEach(() => {
  host = createNetns();
  kernel = openRtnetlink({ netns: host });
});

afterEach(() => {
  kernel.close();
  host.close();
});

describe("watch()", () => {
  test("watch() yields changes of links, addresses, neighbours and routes from when it was called", async () => {
    const events = kernel.watch(["links", "addresses", "neighbours", "routes"]);
    await kernel.links.add({ name: "br0", kind: "bridge", addrGenMode: "none", up: true });
    await kernel.addresses.add({ link: "br0", address: parseAddress("10.0.0.1"), prefixLength: 24 });
    await kernel.neighbours.add({ link: "br0", address: parseAddress("10.0.0.9"), mac: "02:00:00:00:00:09" });
    const destination = parsePrefix("10.1.0.0/16");
    await kernel.routes.add({ destination, link: "br0" });
    await kernel.routes.replace({ destination, gateway: parseAddress("10.0.0.9") });
    await kernel.routes.delete({ destination });
    await kernel.links.delete("br0");
    const seen: string[] = [];
    await firstOf(events, (event) => {
      const text = textOf(event);
      if (text !== undefined) seen.push(text);
      return text === "link deleted br0" ? text : undefined;
    });
    expect(seen.filter((text) => text.startsWith("route"))).toEqual([
      "route set 10.1.0.0/16 dev br0 proto static scope link",
      "route replaced 10.1.0.0/16 via 10.0.0.9 dev br0 proto static",
      "route deleted 10.1.0.0/16 via 10.0.0.9 dev br0 proto static",
    ]);
    // The kernel tells of links and neighbours as often as it likes, and of multicast neighbours besides.
    expect(seen).toEqual(
      expect.arrayContaining([
        "link set br0",
        "address set 10.0.0.1 br0",
        "neighbour set 10.0.0.9 br0",
        "neighbour deleted 10.0.0.9 br0",
        "address deleted 10.0.0.1 br0",
        "link deleted br0",
      ]),
    );
  });

  test("watch() yields only what was asked for, with the names of links", async () => {
    const events = kernel.watch(["routes"]);
    await kernel.links.add({ name: "a", kind: "bridge", addrGenMode: "none", up: true });
    await kernel.links.set("a", { name: "b" });
    await kernel.routes.add({ destination: parsePrefix("10.1.0.0/16"), link: "b" });
    const types = new Set<string>();
    const link = await firstOf(events, (event) => {
      types.add(event.type);
      return event.type === "route" && event.route.table === 254 ? event.route.link : undefined;
    });
    expect(link).toBe("b");
    expect(types).toEqual(new Set(["route"]));
  });

  test("watch() yields forwarding entries apart from neighbours when they are asked for", async () => {
    await kernel.links.add({ name: "br0", kind: "bridge", addrGenMode: "none", up: true });
    await kernel.links.add({ name: "loden.1", kind: "vxlan", lower: "br0", vxlan: { id: 1 } });
    const events = kernel.watch(["fdb"]);
    await kernel.neighbours.add({
      link: "loden.1",
      address: parseAddress("10.0.0.9"),
      mac: "02:00:00:00:00:09",
    });
    const destination = parseAddress("192.0.2.9");
    await kernel.fdb.add({ link: "loden.1", mac: "02:00:00:00:00:09", destination });
    await kernel.links.delete("loden.1");
    const seen: string[] = [];
    await firstOf(events, (event) => {
      seen.push(`${event.type} ${textOf(event)}`);
      return event.type === "fdb" && event.change === "deleted" ? true : undefined;
    });
    expect(seen).toEqual([
      "fdb fdb set 02:00:00:00:00:09 dev loden.1 dst 192.0.2.9 self permanent",
      "fdb fdb deleted 02:00:00:00:00:09 dev loden.1 dst 192.0.2.9 self permanent",
    ]);
  });

  test("watch() yields changes of rules of both families, and none of multicast routing", async () => {
    const events = kernel.watch(["rules"]);
    const ip = (words: string): unknown =>
      host.run(() => execFileSync("ip", words.split(" "), { stdio: "pipe" }));
    ip("mrule add iif lo table 100");
    await kernel.links.add({ name: "br0", kind: "bridge" });
    const rule = { from: parsePrefix("10.5.0.0/16"), table: 100, priority: 100 };
    await kernel.rules.add(rule);
    await kernel.rules.delete(rule);
    ip("rule add from 10.6.0.0/16 goto 32766 priority 101");
    await kernel.rules.add({ to: parsePrefix("fd05::/48"), action: "blackhole", priority: 102 });
    const seen: (string | undefined)[] = [];
    await firstOf(events, (event) => {
      seen.push(textOf(event));
      return event.type === "rule" && event.rule?.family === 6 ? true : undefined;
    });
    expect(seen).toEqual([
      "rule set from 10.5.0.0/16 table 100 priority 100 protocol 4",
      "rule deleted from 10.5.0.0/16 table 100 priority 100 protocol 4",
      "rule set, of another kind",
      "rule set from all to fd05::/48 blackhole priority 102 protocol 4",
    ]);
  });

  test("watch() yields an overrun when more happens than its buffer holds, and goes on", async () => {
    await kernel.links.add({ name: "br0", kind: "bridge", addrGenMode: "none", up: true });
    const events = kernel.watch(["routes"], { receiveBufferBytes: 4096 });
    const routes = Array.from({ length: 500 }, (_, index) => ({
      destination: subnet(index),
      link: "br0",
      protocol: 76,
    }));
    await kernel.routes.addMany(routes);
    const mark = parsePrefix("192.0.2.0/24");
    let overruns = 0;
    const after = await firstOf(events, (event) => {
      // Only now that there is room again.
      if (event.type === "overrun" && overruns++ === 0)
        void kernel.routes.add({ destination: mark, link: "br0" });
      return event.type === "route" && event.route.destination.equals(mark) ? event.route : undefined;
    });
    expect(after).toMatchObject({ link: "br0" });
    expect(overruns).toBeGreaterThan(0);
  });

  test("watch() ends when the connection is closed and rejects when its signal aborts", async () => {
    const controller = new AbortController();
    const aborted = kernel.watch(["links"], { signal: controller.signal })[Symbol.asyncIterator]().next();
    const ended = kernel.watch(["links"])[Symbol.asyncIterator]().next();
    controller.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    kernel.close();
    kernel.close();
    expect(await ended).toMatchObject({ done: true });
    await expect(kernel.links.list()).rejects.toThrow("the netlink socket is closed");
  });
});

/** The first value that `find` gives for an event; closes the watch. */
async function firstOf<T>(
  events: AsyncIterable<RtnetlinkEvent>,
  find: (event: RtnetlinkEvent) => T | undefined,
): Promise<T | undefined> {
  for await (const event of events) {
    const value = find(event);
    if (value !== undefined) return value;
  }
  return undefined;
}

/** 10.100.0.0/24, 10.100.1.0/24, ... */
function subnet(index: number): Prefix {
  return parsePrefix(`10.${100 + (index >> 8)}.${index & 255}.0/24`);
}

/** One line for an event; nothing for what the kernel does beside (local and multicast routes, other neighbours). */
function textOf(event: RtnetlinkEvent): string | undefined {
  switch (event.type) {
    case "link":
      return `link ${event.change} ${event.link.name}`;
    case "address":
      return `address ${event.change} ${event.address.address.toString()} ${event.address.link}`;
    case "neighbour":
      if (event.neighbour.address.family === 6) return undefined;
      return `neighbour ${event.change} ${event.neighbour.address.toString()} ${event.neighbour.link}`;
    case "fdb":
      return `fdb ${event.change} ${formatFdbEntry(event.entry)}`;
    case "route":
      return event.route.protocol === 2 ? undefined : `route ${event.change} ${formatRoute(event.route)}`;
    case "rule":
      return `rule ${event.change}${event.rule ? ` ${formatRule(event.rule)}` : ", of another kind"}`;
    case "overrun":
      return "overrun";
    default:
      return event satisfies never;
  }
}
