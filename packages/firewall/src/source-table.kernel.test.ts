import { parsePrefix } from "@loden/ip";
import type { Netns } from "@loden/netns";
import { spawnSync } from "node:child_process";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { formatFirewall } from "./format-firewall.ts";
import { NftWitness } from "./nft-witness.fixture.ts";
import { openFirewall } from "./open-firewall.ts";
import { planFirewall } from "./plan-firewall.ts";
import { type Addresses, addresses, TrafficWorld } from "./traffic-world.fixture.ts";

type Who = keyof Addresses;

/**
 * Every class of packets: who sends to whom, and whose address the receiver sees. The world is drawn at {@link TrafficWorld}; containers are
 * `container` (this host's), `peer` and `third` (other hosts'), the host is `gateway` and `tunnel` in its own subnet and `host` and `backdoor` outside,
 * and `world` and `beyond` are outside.
 */
const table: readonly (readonly [from: Who, to: Who, seen: Who, seenWhenMarked?: Who])[] = [
  // This host's containers keep their source inside and get the host's outside.
  ["container", "peer", "container", "container"],
  ["container", "third", "container"],
  ["container", "host", "container"],
  ["container", "gateway", "container"],
  ["container", "world", "host", "container"],
  ["container", "beyond", "backdoor", "container"],
  // The host goes into the overlay with its address there; its own containers know all its addresses.
  ["host", "peer", "tunnel", "host"],
  ["backdoor", "third", "tunnel", "backdoor"],
  ["tunnel", "peer", "tunnel"],
  ["gateway", "peer", "gateway"],
  ["host", "container", "host", "host"],
  ["gateway", "container", "gateway"],
  ["host", "world", "host", "host"],
  ["tunnel", "world", "host", "tunnel"],
  ["gateway", "beyond", "backdoor"],
  // Other hosts' containers keep their source on the way here; whom this host takes elsewhere for them sees this host.
  ["peer", "container", "peer", "peer"],
  ["third", "container", "third"],
  ["peer", "tunnel", "peer"],
  ["third", "host", "third"],
  ["third", "world", "host", "third"],
  ["peer", "third", "tunnel", "peer"],
  // Those outside reach this host's containers as themselves, and other hosts' with this host's address in the overlay.
  ["world", "container", "world", "world"],
  ["beyond", "container", "beyond"],
  ["world", "third", "tunnel", "world"],
  ["beyond", "peer", "tunnel"],
  ["world", "host", "world"],
  // What is not the overlay's is nobody's business.
  ["world", "beyond", "world"],
];

const hasIptables = spawnSync("iptables-nft", ["--version"]).status === 0;
const families = [4, 6] as const;
const networks = families.map((family) => ({
  network: parsePrefix(addresses[family].network),
  subnet: parsePrefix(addresses[family].subnet),
}));

let world: TrafficWorld;
let nft: NftWitness;

beforeEach(() => {
  world = new TrafficWorld();
  nft = new NftWitness(world.host);
});
afterEach(() => world[Symbol.dispose]());

describe("what source the far end sees", () => {
  test("apply() gives every class of packets the source of the table", async () => {
    using firewall = openFirewall({ netns: world.host });
    const forgery = { ports: [8285], links: ["wire"] };
    await firewall.apply({ networks, masquerade: {}, forward: true, forgery });
    expect(seen()).toEqual(expected());
  });

  test("planFirewall() without NAT in inet does the same", () => {
    nft.run(formatFirewall(planFirewall({ networks, masquerade: {}, forward: true }, { inet: false })));
    expect(seen()).toEqual(expected());
  });

  test.runIf(hasIptables)("flannel's own rules of iptables give the same", () => {
    for (const family of families) {
      const { network, subnet } = addresses[family];
      const restore = family === 4 ? "iptables-nft-restore" : "ip6tables-nft-restore";
      nft.run(flannelRules(network, subnet, family === 4 ? "224.0.0.0/4" : "ff00::/8"), [restore]);
    }
    expect(seen()).toEqual(expected());
  });

  test("apply() leaves alone what goes to a group, whoever sends it", async () => {
    using firewall = openFirewall({ netns: world.host });
    await firewall.apply({ networks, masquerade: {}, forward: true });
    for (const family of families) {
      const at = addresses[family];
      for (const source of [at.tunnel, at.gateway, at.host])
        expect(world.sendsToGroup(world.host, source, world.outside, at.group, "wire")).toBe(source);
    }
  });
});

/** The mark of Kubernetes, and one that has other bits besides. */
const marks = [0x4000, 0xc001] as const;

function expected(): string[] {
  return families.flatMap((family) =>
    table.flatMap(([from, to, plain, marked]) => [
      `IPv${family}: ${from} to ${to}: ${plain}`,
      ...(marked === undefined
        ? []
        : marks.map((mark) => `IPv${family}: ${from} to ${to}, marked ${mark}: ${marked}`)),
    ]),
  );
}

/** Sends each packet of the table and its answer. Whoever is forwarded is marked on the way in. */
function seen(): string[] {
  const port = (mark: number): number => 20_000 + (mark & 0xff);
  const rules = marks.map((mark) => `udp dport ${port(mark)} meta mark set ${mark};`).join(" ");
  nft.run(`table inet marks {
    chain i { type filter hook prerouting priority mangle; ${rules} }
    chain o { type filter hook output priority mangle; ${rules} }
  }`);
  return families.flatMap((family) => {
    const at = addresses[family];
    const nameOf = (address: string): string =>
      (Object.keys(at) as Who[]).find((who) => at[who] === address) ?? address;
    const send = (from: Who, to: Who, options = {}): string =>
      nameOf(world.exchange(netnsOf(from), at[from], netnsOf(to), at[to], options));
    return table.flatMap(([from, to, , marked]) => [
      `IPv${family}: ${from} to ${to}: ${send(from, to)}`,
      ...(marked === undefined
        ? []
        : marks.map(
            (mark) =>
              `IPv${family}: ${from} to ${to}, marked ${mark}: ${send(from, to, { port: port(mark) })}`,
          )),
    ]);
  });
}

function netnsOf(who: Who): Netns {
  if (who === "container") return world.container;
  if (who === "peer" || who === "world") return world.outside;
  if (who === "third" || who === "beyond") return world.beyond;
  return world.host;
}

/** What flanneld's iptables mode gives to `iptables-restore --noflush`, with its jumps. */
function flannelRules(network: string, subnet: string, multicast: string): string {
  const comment = (what: string): string => `-m comment --comment "flanneld ${what}"`;
  const nat = [
    `-m mark --mark 0x4000/0x4000 ${comment("masq")} -j RETURN`,
    `-s ${subnet} -d ${network} ${comment("masq")} -j RETURN`,
    `-s ${network} -d ${subnet} ${comment("masq")} -j RETURN`,
    `! -s ${network} -d ${subnet} ${comment("masq")} -j RETURN`,
    `-s ${network} ! -d ${multicast} ${comment("masq")} -j MASQUERADE --random-fully`,
    `! -s ${network} -d ${network} ${comment("masq")} -j MASQUERADE --random-fully`,
  ];
  const filter = [
    `-s ${network} ${comment("forward")} -j ACCEPT`,
    `-d ${network} ${comment("forward")} -j ACCEPT`,
  ];
  return [
    "*nat",
    ":FLANNEL-POSTRTG - [0:0]",
    `-A POSTROUTING ${comment("masq")} -j FLANNEL-POSTRTG`,
    ...nat.map((rule) => `-A FLANNEL-POSTRTG ${rule}`),
    "COMMIT",
    "*filter",
    ":FLANNEL-FWD - [0:0]",
    `-A FORWARD ${comment("forward")} -j FLANNEL-FWD`,
    ...filter.map((rule) => `-A FLANNEL-FWD ${rule}`),
    "COMMIT",
    "",
  ].join("\n");
}
