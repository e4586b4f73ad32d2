import { Address, type AddressFamily, parsePrefix, type Prefix } from "@loden/ip";
import { createNetns, type Netns } from "@loden/netns";
import * as fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { FirewallRules } from "./firewall-rules.ts";
import { NftWitness } from "./nft-witness.fixture.ts";
import { openFirewall } from "./open-firewall.ts";

// What `nft` prints of what we sent as bytes, and what it makes of what a person would write.
let netns: Netns;
let nft: NftWitness;

beforeEach(() => {
  netns = createNetns();
  nft = new NftWitness(netns);
});
afterEach(() => netns.close());

/** Such rules as an administrator would write by hand for host 3 of a dual-stack network. */
const byHand = `
  add table inet loden
  add chain inet loden postrouting { type nat hook postrouting priority 100; }
  add rule inet loden postrouting mark and 0x4000 == 0x4000 return
  add rule inet loden postrouting ip saddr 10.5.3.0/24 ip daddr 10.5.0.0/16 return
  add rule inet loden postrouting ip saddr 10.5.0.0/16 ip daddr 10.5.3.0/24 return
  add rule inet loden postrouting ip saddr != 10.5.0.0/16 ip daddr 10.5.3.0/24 return
  add rule inet loden postrouting ip saddr 10.5.0.0/16 ip daddr 192.168.16.0/20 return
  add rule inet loden postrouting ip saddr 10.5.0.0/16 ip daddr 203.0.113.7 return
  add rule inet loden postrouting ip saddr 10.5.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random
  add rule inet loden postrouting ip saddr != 10.5.0.0/16 ip daddr 10.5.0.0/16 masquerade fully-random
  add rule inet loden postrouting ip6 saddr fd00:5:0:3::/64 ip6 daddr fd00:5::/52 return
  add rule inet loden postrouting ip6 saddr fd00:5::/52 ip6 daddr fd00:5:0:3::/64 return
  add rule inet loden postrouting ip6 saddr != fd00:5::/52 ip6 daddr fd00:5:0:3::/64 return
  add rule inet loden postrouting ip6 saddr fd00:5::/52 ip6 daddr 2001:db8::/47 return
  add rule inet loden postrouting ip6 saddr fd00:5::/52 ip6 daddr != ff00::/8 masquerade fully-random
  add rule inet loden postrouting ip6 saddr != fd00:5::/52 ip6 daddr fd00:5::/52 masquerade fully-random
  add chain inet loden forged
  add rule inet loden forged ip daddr 10.5.0.0/16 return
  add rule inet loden forged ip6 daddr fd00:5::/52 return
  add rule inet loden forged counter drop
  add chain inet loden input { type filter hook input priority 0; }
  add rule inet loden input ip saddr 10.5.0.0/16 udp dport 8472 counter drop
  add rule inet loden input ip6 saddr fd00:5::/52 udp dport 8472 counter drop
  add chain inet loden forward { type filter hook forward priority 0; }
  add rule inet loden forward iifname != eth0 iifname != bond0.5 udp dport 8472 jump forged
  add rule inet loden forward ip saddr 10.5.0.0/16 accept
  add rule inet loden forward ip daddr 10.5.0.0/16 accept
  add rule inet loden forward ip6 saddr fd00:5::/52 accept
  add rule inet loden forward ip6 daddr fd00:5::/52 accept`;

test("apply() makes what nft makes of rules that are written by hand", async () => {
  using other = createNetns();
  const witness = new NftWitness(other);
  witness.run(byHand);
  const except = ["192.168.16.0/20", "203.0.113.7/32", "2001:db8::/47"].map((one) => parsePrefix(one));
  const rules: FirewallRules = {
    networks: [
      { network: parsePrefix("10.5.0.0/16"), subnet: parsePrefix("10.5.3.0/24") },
      { network: parsePrefix("fd00:5::/52"), subnet: parsePrefix("fd00:5:0:3::/64") },
    ],
    masquerade: { except },
    forward: true,
    forgery: { ports: [8472], links: ["eth0", "bond0.5"] },
  };
  using firewall = openFirewall({ netns });
  await firewall.apply(rules);
  expect(nft.tables()).toEqual(witness.tables());
  // Expression by expression, too: there is nothing to replace.
  using there = openFirewall({ netns: other });
  expect(await there.apply(rules)).toEqual({ changed: false });
});

test("list() prints what nft prints, whatever the rules", async () => {
  using firewall = openFirewall({ netns });
  await fc.assert(
    fc.asyncProperty(anyRules, async (rules) => {
      await firewall.apply(rules);
      expect((await firewall.list()).map((line) => `${line}\n`).join("")).toBe(nft.tables().join(""));
      expect(await firewall.apply(rules)).toEqual({ changed: false });
    }),
    { numRuns: 60 },
  );
});

test("nft makes of what list() prints the same table again", async () => {
  using firewall = openFirewall({ netns });
  await fc.assert(
    fc.asyncProperty(anyRules, async (rules) => {
      await firewall.apply(rules);
      const listed = await firewall.list();
      await firewall.clear();
      nft.run(listed.join("\n"));
      expect(await firewall.apply(rules)).toEqual({ changed: false });
    }),
    { numRuns: 30 },
  );
});

function prefixOf(family: AddressFamily, value: bigint, length: number): Prefix {
  return parsePrefix(`${new Address(family, value).toString()}/${length}`, { family });
}

function anyPrefix(family: AddressFamily, lengths: { min: number; max: number }): fc.Arbitrary<Prefix> {
  const max = (1n << (family === 4 ? 32n : 128n)) - 1n;
  return fc
    .tuple(fc.bigInt({ min: 0n, max }), fc.integer(lengths))
    .map(([value, length]) => prefixOf(family, value, length));
}

function anyNetwork(family: AddressFamily): fc.Arbitrary<FirewallRules["networks"][number]> {
  const bits = family === 4 ? 32 : 128;
  return fc
    .tuple(anyPrefix(family, { min: 1, max: bits - 1 }), fc.integer({ min: 0, max: 12 }))
    .map(([network, more]) => ({
      network,
      subnet: prefixOf(family, network.address.value, Math.min(network.length + more, bits)),
    }));
}

const anyRules: fc.Arbitrary<FirewallRules> = fc.record({
  networks: fc
    .tuple(
      fc.option(anyNetwork(4), { nil: undefined }),
      fc.option(anyNetwork(6), { nil: undefined }),
      anyNetwork(4),
    )
    .map((networks) => networks.filter((one) => one !== undefined)),
  masquerade: fc.option(
    fc.record({
      randomFully: fc.boolean(),
      except: fc.array(fc.oneof(anyPrefix(4, { min: 1, max: 32 }), anyPrefix(6, { min: 1, max: 128 })), {
        maxLength: 4,
      }),
    }),
    { nil: undefined },
  ),
  forward: fc.boolean(),
  forgery: fc.option(
    fc.record({
      ports: fc.array(fc.integer({ min: 1, max: 65_535 }), { maxLength: 3 }),
      links: fc.array(fc.stringMatching(/^[a-z][a-z0-9.@_-]{0,14}$/), { maxLength: 3 }),
    }),
    { nil: undefined },
  ),
});
