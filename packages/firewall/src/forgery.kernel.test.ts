import { parsePrefix } from "@loden/ip";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { FirewallRules } from "./firewall-rules.ts";
import type { Firewall } from "./firewall.ts";
import { NftWitness } from "./nft-witness.fixture.ts";
import { openFirewall } from "./open-firewall.ts";
import { addAddress, addresses, ip, TrafficWorld } from "./traffic-world.fixture.ts";

// The world is drawn in traffic-world.fixture.ts: `wire` leads to the other hosts.
const without: FirewallRules = {
  networks: [addresses[4], addresses[6]].map(({ network, subnet }) => ({
    network: parsePrefix(network),
    subnet: parsePrefix(subnet),
  })),
  masquerade: {},
  forward: true,
};
const port = 8285;
const rules: FirewallRules = { ...without, forgery: { ports: [8472, port], links: ["wire"] } };

let world: TrafficWorld;
let firewall: Firewall;

beforeEach(() => {
  world = new TrafficWorld();
  firewall = openFirewall({ netns: world.host });
});

afterEach(() => {
  firewall.close();
  world[Symbol.dispose]();
});

describe.each([4, 6] as const)("forged datagrams of IPv%i", (family) => {
  const at = addresses[family];
  const bytes = family === 4 ? 36 : 56;
  const foreign = family === 4 ? "172.17.0.2" : "fd00:17::2";

  test("apply() drops and counts what a container sends to another host's port, which has the host's address without it", async () => {
    const { container, outside } = world;
    await firewall.apply(without);
    expect(world.arrives(container, at.container, outside, at.world, port)).toBe(at.host);
    await firewall.apply(rules);
    expect(world.arrives(container, at.container, outside, at.world, port)).toBeUndefined();
    expect(world.arrives(container, at.container, outside, at.world, 8472)).toBeUndefined();
    expect(await firewall.counts()).toEqual({ forged: { packets: 2, bytes: 2 * bytes } });
    expect(world.arrives(container, at.container, outside, at.world, port + 1)).toBe(at.host);
    // Another change of the table leaves the count.
    await firewall.apply({ ...rules, masquerade: { randomFully: false } });
    expect(await firewall.counts()).toEqual({ forged: { packets: 2, bytes: 2 * bytes } });
    await firewall.clear();
    expect(world.arrives(container, at.container, outside, at.world, port)).toBe(at.container);
  });

  test("apply() drops what containers send that are not of the overlay, or give another source", async () => {
    const { container, outside } = world;
    ip(container, [addAddress(foreign, "lo")]);
    const send = (): string | undefined => world.arrives(container, foreign, outside, at.world, port);
    await firewall.apply(without);
    expect(send()).toBe(foreign);
    await firewall.apply(rules);
    expect(send()).toBeUndefined();
    ip(container, [addAddress(at.beyond, "lo")]);
    expect(world.arrives(container, at.beyond, outside, at.world, port)).toBeUndefined();
  });

  test("apply() drops what comes to another host's port by an address that the host translates", async () => {
    const { container, host, outside } = world;
    const kind = family === 4 ? "ip" : "ip6";
    new NftWitness(host).run(`table ${kind} services { chain prerouting {
      type nat hook prerouting priority dstnat;
      ${kind} daddr ${foreign} udp dport 53 dnat to ${family === 4 ? at.world : `[${at.world}]`}:${port}
    }; }`);
    const receiver = world.open(outside, at.world, { port });
    const send = (): boolean => {
      world.send(world.open(container, at.container), foreign, 53);
      // What is sent to another port after it arrives for certain.
      world.arrives(container, at.container, outside, at.world);
      return world.receivesNow(receiver);
    };
    await firewall.apply(without);
    expect(send()).toBe(true);
    await firewall.apply(rules);
    expect(send()).toBe(false);
  });

  test("apply() drops what comes in fragments, with masquerading and without", async () => {
    const { container, outside } = world;
    const receiver = world.open(outside, at.world, { port });
    const send = (): boolean => {
      world.send(world.open(container, at.container), at.world, port, 4_000);
      // What is sent to another port after it arrives for certain.
      world.arrives(container, at.container, outside, at.world);
      return world.receivesNow(receiver);
    };
    for (const masquerade of [{}, undefined]) {
      await firewall.apply({ ...without, masquerade });
      expect(send()).toBe(true);
      await firewall.apply({ ...rules, masquerade });
      expect(send()).toBe(false);
    }
  });

  test("apply() drops what containers send to the host itself, by any of its addresses", async () => {
    const { container, host, outside } = world;
    const all = [
      [container, at.container, at.host],
      [container, at.container, at.gateway],
      [outside, at.peer, at.tunnel],
    ] as const;
    await firewall.apply(without);
    for (const [from, source, to] of all) expect(world.arrives(from, source, host, to, port)).toBe(source);
    await firewall.apply(rules);
    for (const [from, source, to] of all) expect(world.arrives(from, source, host, to, port)).toBeUndefined();
    expect((await firewall.counts()).forged.packets).toBe(all.length);
    // Hosts reach it.
    expect(world.arrives(outside, at.world, host, at.host, port)).toBe(at.world);
  });

  test("apply() lets hosts send, containers run an overlay of their own, and what comes from the links pass", async () => {
    const { beyond, container, host, outside } = world;
    await firewall.apply(rules);
    expect(world.arrives(host, at.host, outside, at.world, port)).toBe(at.host);
    expect(world.arrives(container, at.container, outside, at.peer, port)).toBe(at.container);
    expect(world.arrives(outside, at.peer, container, at.container, port)).toBe(at.peer);
    expect(world.arrives(outside, at.world, beyond, at.beyond, port)).toBe(at.world);
    // This host routes for another one, by a link that is not named, and then is.
    expect(world.arrives(beyond, at.beyond, outside, at.world, port)).toBeUndefined();
    await firewall.apply({ ...rules, forgery: { ports: [port], links: ["wire", "wire2"] } });
    expect(world.arrives(beyond, at.beyond, outside, at.world, port)).toBe(at.beyond);
    expect(world.arrives(container, at.container, outside, at.world, port)).toBeUndefined();
  });
});
