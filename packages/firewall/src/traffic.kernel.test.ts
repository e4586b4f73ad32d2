import { parsePrefix } from "@loden/ip";
import type { Netns } from "@loden/netns";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { FirewallRules } from "./firewall-rules.ts";
import type { Firewall } from "./firewall.ts";
import { NftWitness } from "./nft-witness.fixture.ts";
import { openFirewall } from "./open-firewall.ts";
import { addAddress, addresses, ip, TrafficWorld } from "./traffic-world.fixture.ts";

const rules: FirewallRules = {
  networks: [addresses[4], addresses[6]].map(({ network, subnet }) => ({
    network: parsePrefix(network),
    subnet: parsePrefix(subnet),
  })),
  masquerade: { except: [parsePrefix("203.0.113.0/25"), parsePrefix("2001:db8:7::/48")] },
  forward: true,
};

let world: TrafficWorld;
let firewall: Firewall;
let nft: NftWitness;

beforeEach(() => {
  world = new TrafficWorld();
  firewall = openFirewall({ netns: world.host });
  nft = new NftWitness(world.host);
});

afterEach(() => {
  firewall.close();
  world[Symbol.dispose]();
});

function passes(from: Netns, source: string, to: Netns, destination: string): boolean {
  return world.arrives(from, source, to, destination) !== undefined;
}

describe.each([4, 6] as const)("IPv%i", (family) => {
  const at = addresses[family];

  test("apply() keeps the source of what is forwarded inside the overlay", async () => {
    await firewall.apply(rules);
    expect(world.exchange(world.container, at.container, world.outside, at.peer)).toBe(at.container);
    expect(world.exchange(world.outside, at.peer, world.container, at.container)).toBe(at.peer);
  });

  test("apply() gives what leaves the overlay the host's address, and lets the answer back in", async () => {
    expect(world.exchange(world.container, at.container, world.outside, at.world)).toBe(at.container);
    await firewall.apply(rules);
    expect(world.exchange(world.container, at.container, world.outside, at.world)).toBe(at.host);
    await firewall.apply({ ...rules, masquerade: { ...rules.masquerade, randomFully: false } });
    expect(world.exchange(world.container, at.container, world.outside, at.world)).toBe(at.host);
    await firewall.apply({ ...rules, masquerade: undefined });
    expect(world.exchange(world.container, at.container, world.outside, at.world)).toBe(at.container);
  });

  test("apply() masquerades what the host sends into the overlay from another address", async () => {
    expect(world.exchange(world.host, at.host, world.outside, at.peer)).toBe(at.host);
    await firewall.apply(rules);
    expect(world.exchange(world.host, at.host, world.outside, at.peer)).toBe(at.tunnel);
    expect(world.exchange(world.host, at.tunnel, world.outside, at.peer)).toBe(at.tunnel);
    // into the own subnet it is the host itself that is asked
    expect(world.exchange(world.host, at.host, world.container, at.container)).toBe(at.host);
  });

  test("apply() leaves alone what comes from outside to the own subnet, and what is marked", async () => {
    await firewall.apply(rules);
    expect(world.exchange(world.outside, at.world, world.container, at.container)).toBe(at.world);
    expect(world.exchange(world.host, at.host, world.outside, at.peer, { mark: 0x4000 })).toBe(at.host);
    expect(world.exchange(world.host, at.host, world.outside, at.peer, { mark: 0x8000 })).toBe(at.tunnel);
  });

  test("apply() keeps the source of what goes to excepted networks", async () => {
    await firewall.apply(rules);
    expect(world.exchange(world.container, at.container, world.outside, at.excepted)).toBe(at.container);
    await firewall.apply({ ...rules, masquerade: {} });
    expect(world.exchange(world.container, at.container, world.outside, at.excepted)).toBe(at.host);
  });

  test("apply() opens a chain of somebody else's that drops, to overlay traffic only, and clear() closes it", async () => {
    // 9999 passes whatever happens: when it has arrived, what was sent before it has been dropped.
    const guard =
      "type filter hook forward priority 0; policy drop; udp dport 9999 accept; udp sport 9999 accept";
    nft.run(`table inet guard { chain f { ${guard}; }; }`);
    expect(passes(world.container, at.container, world.outside, at.peer)).toBe(false);
    await firewall.apply(rules);
    expect(passes(world.container, at.container, world.outside, at.peer)).toBe(true);
    expect(passes(world.outside, at.peer, world.container, at.container)).toBe(true);
    expect(passes(world.container, at.container, world.outside, at.world)).toBe(true);
    await firewall.apply({ ...rules, forward: false });
    expect(passes(world.container, at.container, world.outside, at.peer)).toBe(false);
    await firewall.apply(rules);
    await firewall.clear();
    expect(passes(world.container, at.container, world.outside, at.peer)).toBe(false);
  });

  test("apply() opens Docker's chains, and leaves closed what is not the overlay's", async () => {
    nft.run(
      ["ip", "ip6"]
        .map(
          (kind) => `table ${kind} filter {
            chain DOCKER-USER { return; }
            chain FORWARD {
              type filter hook forward priority filter; policy drop;
              jump DOCKER-USER
              udp dport 9999 accept
            }
          }`,
        )
        .join("\n"),
    );
    expect(passes(world.container, at.container, world.outside, at.world)).toBe(false);
    await firewall.apply({ networks: rules.networks, forward: true });
    expect(passes(world.container, at.container, world.outside, at.world)).toBe(true);
    // the container's packets are the overlay's; the world's to the excepted address are nobody's
    ip(world.container, [addAddress(at.excepted, "lo")]);
    ip(world.host, [`route replace ${at.excepted} via ${at.container} dev cni`]);
    const length = family === 4 ? 32 : 128;
    ip(world.outside, [
      `addr del ${at.excepted}/${length} dev lo`,
      `route add ${at.excepted} via ${at.host}`,
    ]);
    expect(passes(world.outside, at.world, world.container, at.excepted)).toBe(false);
    nft.run("chain ip filter FORWARD { policy accept; }\nchain ip6 filter FORWARD { policy accept; }");
    expect(passes(world.outside, at.world, world.container, at.excepted)).toBe(true);
  });
});
