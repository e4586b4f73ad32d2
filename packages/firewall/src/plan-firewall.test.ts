import { Address, type AddressFamily, parseAddress, parsePrefix, type Prefix } from "@loden/ip";
import type { NftExpression } from "@loden/netlink";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { FirewallRules } from "./firewall-rules.ts";
import { formatFirewall } from "./format-firewall.ts";
import { planFirewall, type PlanFirewallOptions } from "./plan-firewall.ts";

const ipv4 = { network: parsePrefix("10.5.0.0/16"), subnet: parsePrefix("10.5.3.0/24") };
const ipv6 = { network: parsePrefix("fd00:5::/52"), subnet: parsePrefix("fd00:5:0:3::/64") };

function text(rules: FirewallRules, options?: PlanFirewallOptions): string {
  return formatFirewall(planFirewall(rules, options)).replaceAll("\t", "  ");
}

describe("planFirewall()", () => {
  test("planFirewall() gives flannel's rules in one table", () => {
    expect(text({ networks: [ipv4], masquerade: {}, forward: true })).toBe(
      `table inet loden {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    meta mark & 0x00004000 == 0x00004000 return
    ip saddr 10.5.3.0/24 ip daddr 10.5.0.0/16 return
    ip saddr 10.5.0.0/16 ip daddr 10.5.3.0/24 return
    ip saddr != 10.5.0.0/16 ip daddr 10.5.3.0/24 return
    ip saddr 10.5.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random
    ip saddr != 10.5.0.0/16 ip daddr 10.5.0.0/16 masquerade fully-random
  }

  chain forward {
    type filter hook forward priority filter; policy accept;
    ip saddr 10.5.0.0/16 accept
    ip daddr 10.5.0.0/16 accept
  }
}
`,
    );
  });

  test("planFirewall() leaves excepted destinations of each family alone before it masquerades", () => {
    const except = ["192.168.0.0/20", "203.0.113.7/32", "2001:db8::/47", "::/0"].map((one) =>
      parsePrefix(one),
    );
    const masquerade = { randomFully: false, except };
    expect(text({ networks: [ipv4, ipv6], masquerade, forward: false }, { table: "blue" })).toBe(
      `table inet blue {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    meta mark & 0x00004000 == 0x00004000 return
    ip saddr 10.5.3.0/24 ip daddr 10.5.0.0/16 return
    ip saddr 10.5.0.0/16 ip daddr 10.5.3.0/24 return
    ip saddr != 10.5.0.0/16 ip daddr 10.5.3.0/24 return
    ip saddr 10.5.0.0/16 ip daddr 192.168.0.0/20 return
    ip saddr 10.5.0.0/16 ip daddr 203.0.113.7 return
    ip saddr 10.5.0.0/16 ip daddr != 224.0.0.0/4 masquerade
    ip saddr != 10.5.0.0/16 ip daddr 10.5.0.0/16 masquerade
    ip6 saddr fd00:5:0:3::/64 ip6 daddr fd00:5::/52 return
    ip6 saddr fd00:5::/52 ip6 daddr fd00:5:0:3::/64 return
    ip6 saddr != fd00:5::/52 ip6 daddr fd00:5:0:3::/64 return
    ip6 saddr fd00:5::/52 ip6 daddr 2001:db8::/47 return
    ip6 saddr fd00:5::/52 return
    ip6 saddr fd00:5::/52 ip6 daddr != ff00::/8 masquerade
    ip6 saddr != fd00:5::/52 ip6 daddr fd00:5::/52 masquerade
  }
}
`,
    );
  });

  test("planFirewall() plans one table for each family when the kernel has no NAT in inet", () => {
    const rules = { networks: [ipv4, ipv6], masquerade: {}, forward: true };
    expect(text(rules, { inet: false, fullyRandom: false })).toBe(
      `table ip loden {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    meta mark & 0x00004000 == 0x00004000 return
    ip saddr 10.5.3.0/24 ip daddr 10.5.0.0/16 return
    ip saddr 10.5.0.0/16 ip daddr 10.5.3.0/24 return
    ip saddr != 10.5.0.0/16 ip daddr 10.5.3.0/24 return
    ip saddr 10.5.0.0/16 ip daddr != 224.0.0.0/4 masquerade
    ip saddr != 10.5.0.0/16 ip daddr 10.5.0.0/16 masquerade
  }

  chain forward {
    type filter hook forward priority filter; policy accept;
    ip saddr 10.5.0.0/16 accept
    ip daddr 10.5.0.0/16 accept
  }
}

table ip6 loden {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    meta mark & 0x00004000 == 0x00004000 return
    ip6 saddr fd00:5:0:3::/64 ip6 daddr fd00:5::/52 return
    ip6 saddr fd00:5::/52 ip6 daddr fd00:5:0:3::/64 return
    ip6 saddr != fd00:5::/52 ip6 daddr fd00:5:0:3::/64 return
    ip6 saddr fd00:5::/52 ip6 daddr != ff00::/8 masquerade
    ip6 saddr != fd00:5::/52 ip6 daddr fd00:5::/52 masquerade
  }

  chain forward {
    type filter hook forward priority filter; policy accept;
    ip6 saddr fd00:5::/52 accept
    ip6 daddr fd00:5::/52 accept
  }
}
`,
    );
    expect(
      planFirewall({ ...rules, networks: [ipv6] }, { inet: false }).tables.map((one) => one.family),
    ).toEqual(["ip6"]);
  });

  test("planFirewall() drops what containers forge, in both families whatever the network has", () => {
    const forgery = { ports: [8285, 8472], links: ["eth0", "eth1"] };
    expect(text({ networks: [ipv4], forward: true, forgery })).toBe(
      `table inet loden {
  chain forged {
    ip daddr 10.5.0.0/16 return
    counter packets 0 bytes 0 drop
  }

  chain input {
    type filter hook input priority filter; policy accept;
    ip saddr 10.5.0.0/16 udp dport 8285 counter packets 0 bytes 0 drop
    ip saddr 10.5.0.0/16 udp dport 8472 counter packets 0 bytes 0 drop
  }

  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname != "eth0" iifname != "eth1" udp dport 8285 jump forged
    iifname != "eth0" iifname != "eth1" udp dport 8472 jump forged
    ip saddr 10.5.0.0/16 accept
    ip daddr 10.5.0.0/16 accept
  }
}
`,
    );
    const one = { ports: [8285], links: [] };
    expect(
      text({ networks: [ipv6], masquerade: {}, forward: false, forgery: one }, { inet: false }),
    ).toContain(
      `table ip loden {
  chain forged {
    counter packets 0 bytes 0 drop
  }

  chain forward {
    type filter hook forward priority filter; policy accept;
    udp dport 8285 jump forged
  }
}

table ip6 loden {
  chain postrouting {`,
    );
  });

  test("planFirewall() plans no table when there is nothing to do", () => {
    expect(text({ networks: [], masquerade: {}, forward: true })).toBe("");
    expect(text({ networks: [ipv4], forward: false })).toBe("");
    const forgery = { ports: [8285], links: ["eth0"] };
    expect(text({ networks: [], forward: true, forgery })).toBe("");
    expect(text({ networks: [ipv4], forward: false, forgery: { ...forgery, ports: [] } })).toBe("");
  });

  test.each([
    [
      "a subnet outside of its network",
      { network: ipv4.network, subnet: parsePrefix("10.6.0.0/24") },
      "loden",
    ],
    ["a subnet of the other family", { network: ipv4.network, subnet: ipv6.subnet }, "loden"],
    ["a network that is everything", { network: parsePrefix("0.0.0.0/0"), subnet: ipv4.subnet }, "loden"],
    ["a name that starts with a digit", ipv4, "9lives"],
    ["an empty name", ipv4, ""],
    ["a name with a space", ipv4, "a b"],
  ])("planFirewall() refuses %s", (_title, network, table) => {
    expect(() => planFirewall({ networks: [network], forward: true }, { table })).toThrow(RangeError);
  });
});

test.each([
  ["port 0", { ports: [0], links: [] }],
  ["a port past the last", { ports: [65_536], links: [] }],
  ["a link without a name", { ports: [8285], links: [""] }],
  ["a link with a name too long", { ports: [8285], links: ["a123456789012345"] }],
  ["a link whose name ends the text", { ports: [8285], links: ['e"'] }],
  ["a pattern in the place of a link", { ports: [8285], links: ["eth*"] }],
])("planFirewall() refuses %s", (_title, forgery) => {
  expect(() => planFirewall({ networks: [ipv4], forward: true, forgery })).toThrow(RangeError);
});

describe("what the rules do", () => {
  // The model is flannel's iptables mode, in words of prefixes.
  test("planFirewall() masquerades and accepts exactly the packets that flannel's rules do", () => {
    fc.assert(
      fc.property(world, fc.boolean(), ({ network, except, packets }, inet) => {
        const masquerade = { except: [...except] };
        const plan = planFirewall({ networks: [network], masquerade, forward: true }, { inet });
        const chains = plan.tables.flatMap((table) => table.chains);
        const [nat, filter] = ["postrouting", "forward"].map((name) =>
          chains.find((one) => one.name === name)!,
        );
        for (const packet of packets) {
          const verdict =
            nat!.rules.map(({ expressions }) => run(expressions, packet)).find((one) => one) ?? "end";
          expect(verdict === "masquerade").toBe(masquerades(network, except, packet));
          const accepted = filter!.rules.some(({ expressions }) => run(expressions, packet) === "accept");
          expect(accepted).toBe(
            network.network.contains(packet.source) || network.network.contains(packet.destination),
          );
        }
      }),
      { numRuns: 500 },
    );
  });
});

interface Packet {
  readonly source: Address;
  readonly destination: Address;
  readonly mark: number;
}

function masquerades(
  { network, subnet }: { network: Prefix; subnet: Prefix },
  except: readonly Prefix[],
  { source, destination, mark }: Packet,
): boolean {
  if (mark & 0x4000) return false;
  if (subnet.contains(source) && network.contains(destination)) return false;
  if (network.contains(source) && subnet.contains(destination)) return false;
  if (!network.contains(source) && subnet.contains(destination)) return false;
  if (network.contains(source))
    return !destination.isMulticast && !except.some((one) => one.contains(destination));
  return network.contains(destination);
}

/** Runs a rule as the kernel does: the verdict, or undefined when a comparison fails. */
function run(expressions: readonly NftExpression[], packet: Packet): string | undefined {
  const header = headerOf(packet);
  const registers = new Map<number, Uint8Array>();
  for (const one of expressions) {
    if (one.kind === "meta")
      registers.set(
        one.register,
        one.key === 3
          ? new Uint8Array(new Uint32Array([packet.mark]).buffer)
          : Uint8Array.of(packet.source.family === 4 ? 2 : 10),
      );
    else if (one.kind === "payload")
      registers.set(one.register, header.slice(one.offset, one.offset + one.length));
    else if (one.kind === "bitwise")
      registers.set(
        one.destination,
        registers.get(one.source)!.map((byte, index) => (byte & one.mask[index]!) ^ one.xor[index]!),
      );
    else if (one.kind === "compare") {
      const held = registers.get(one.register)!.subarray(0, one.value.length);
      const equal =
        held.length === one.value.length && held.every((byte, index) => byte === one.value[index]);
      if (equal !== (one.operator === "==")) return undefined;
    } else return one.kind === "verdict" ? one.verdict : one.kind;
  }
  return undefined;
}

function headerOf({ source, destination }: Packet): Uint8Array {
  const header = new Uint8Array(40);
  header.set(source.toBytes(), source.family === 4 ? 12 : 8);
  header.set(destination.toBytes(), source.family === 4 ? 16 : 24);
  return header;
}

function prefix(family: AddressFamily, address: Address, length: number): Prefix {
  return parsePrefix(`${address.toString()}/${length}`, { family });
}

const world = fc.constantFrom(4 as const, 6 as const).chain((family) => {
  const bits = family === 4 ? 32 : 128;
  const address = fc
    .bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n })
    .map((one) => new Address(family, one));
  return fc
    .record({
      base: address,
      length: fc.integer({ min: 1, max: bits - 1 }),
      more: fc.integer({ min: 0, max: 12 }),
      except: fc.array(fc.tuple(address, fc.integer({ min: 0, max: bits })), { maxLength: 2 }),
      any: fc.array(address, { minLength: 1, maxLength: 6 }),
    })
    .chain(({ base, length, more, except, any }) => {
      const network = {
        network: prefix(family, base, length),
        subnet: prefix(family, base, Math.min(length + more, bits)),
      };
      const excepted = except.map(([one, size]) => prefix(family, one, size));
      // Addresses at and around the ends of every prefix, where mistakes would be.
      const multicast = parseAddress(family === 4 ? "224.0.0.1" : "ff02::1");
      const edges = [network.network, network.subnet, ...excepted].flatMap((one) => [one.address, one.last]);
      const interesting = fc.constantFrom(...edges, ...edges.flatMap(neighbours), multicast, ...any);
      const packet = fc.record({
        source: interesting,
        destination: interesting,
        mark: fc.constantFrom(0, 0x4000, 0x8000, 0xffff_ffff),
      });
      return fc.record({
        network: fc.constant(network),
        except: fc.constant(excepted),
        packets: fc.array(packet, { minLength: 5, maxLength: 20 }),
      });
    });
});

function neighbours(address: Address): Address[] {
  const last = (1n << (address.family === 4 ? 32n : 128n)) - 1n;
  return [address.value - 1n, address.value + 1n]
    .filter((value) => value >= 0n && value <= last)
    .map((value) => new Address(address.family, value));
}
