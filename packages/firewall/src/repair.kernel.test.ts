import { parsePrefix } from "@loden/ip";
import { createNetns, type Netns } from "@loden/netns";
import { spawn } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { EventEmitter, once } from "node:events";
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { FirewallEvent } from "./firewall-events.ts";
import type { FirewallRules } from "./firewall-rules.ts";
import type { Firewall } from "./firewall.ts";
import { DOCKER_TABLE, NftWitness } from "./nft-witness.fixture.ts";
import { openFirewall } from "./open-firewall.ts";

// One namespace without links: only the ruleset matters here, and `nft` is who breaks it.
const rules: FirewallRules = {
  networks: [
    { network: parsePrefix("10.5.0.0/16"), subnet: parsePrefix("10.5.3.0/24") },
    { network: parsePrefix("fd00:5::/52"), subnet: parsePrefix("fd00:5:0:3::/64") },
  ],
  masquerade: { except: [parsePrefix("192.168.0.0/20")] },
  forward: true,
  forgery: { ports: [8285], links: ["eth0"] },
};

/** What others have: Docker's chains, tables of iptables-nft, tables with our name in families that are not ours. */
const foreign = `
  ${DOCKER_TABLE}
  table ip6 filter {
    chain FORWARD {
      type filter hook forward priority filter; policy drop;
      ip6 daddr fd00:9::/64 accept
    }
  }
  table inet lodens { chain c { ip saddr 10.5.0.0/16 drop; }; }
  table arp loden { chain c { accept; }; }`;

let host: Netns;
let nft: NftWitness;
let firewall: Firewall;
let events: EventEmitter;
const record = (message: unknown): void => {
  const event = message as FirewallEvent;
  events.emit(event.type, event);
};

beforeEach(() => {
  host = createNetns();
  nft = new NftWitness(host);
  events = new EventEmitter();
  subscribe("loden:firewall", record);
  nft.run(foreign);
  firewall = openFirewall({ netns: host, repair: true });
});
afterEach(() => {
  firewall.close();
  unsubscribe("loden:firewall", record);
  host.close();
});

describe("what others break", () => {
  test.each([
    ["the table is deleted", () => "delete table inet loden"],
    ["a chain is flushed", () => "flush chain inet loden postrouting"],
    ["every chain is flushed", () => "flush table inet loden"],
    [
      "one rule is deleted",
      () => `delete rule inet loden postrouting handle ${nft.handleOf("ip daddr 192.168.0.0/20 return")}`,
    ],
    ["a rule is added", () => "add rule inet loden forward ip saddr 10.5.3.9 drop"],
    ["a rule is inserted", () => "insert rule inet loden postrouting accept"],
    ["a chain is added", () => "add chain inet loden more { type filter hook forward priority -5; }"],
    ["a policy is changed", () => "chain inet loden forward { policy drop; }"],
    ["the table is put to sleep", () => "add table inet loden { flags dormant; }"],
    [
      "an accept of ours in a chain of theirs is deleted",
      () =>
        `delete rule ip filter DOCKER-USER handle ${nft.handleOf('ip saddr 10.5.0.0/16 accept comment "loden loden"')}`,
    ],
  ])("openFirewall() puts everything back when %s, and touches nothing else", async (_title, damage) => {
    await firewall.apply(rules);
    const right = nft.tables();
    const repaired = once(events, "repaired");
    nft.run(damage());
    expect(nft.tables()).not.toEqual(right);
    await repaired;
    expect(nft.tables()).toEqual(right);
  });

  test("openFirewall() puts its own back when everything is flushed, and follows when the others come back", async () => {
    await firewall.apply(rules);
    const right = nft.tables();
    let repaired = once(events, "repaired");
    nft.run("flush ruleset");
    await repaired;
    expect(nft.tables()).toEqual(right.filter((one) => one.startsWith("table inet loden {")));
    repaired = once(events, "repaired");
    nft.run(foreign);
    await repaired;
    expect(nft.tables()).toEqual(right);
  });

  test("openFirewall() opens a chain that begins to drop, and closes it when it ceases", async () => {
    await firewall.apply(rules);
    const before = nft.tables();
    const accepted = once(events, "accepted");
    nft.run("table inet guard { chain f { type filter hook forward priority 5; policy drop; }; }");
    expect(await accepted).toMatchObject([{ chain: "inet guard f", into: "inet guard f" }]);
    const repaired = once(events, "repaired");
    nft.run("chain inet guard f { policy accept; }");
    await repaired;
    nft.run("delete table inet guard");
    expect(nft.tables()).toEqual(before);
  });

  test("openFirewall() puts the table back when so much changes that notifications are lost", async () => {
    await firewall.apply(rules);
    const right = nft.tables();
    const repaired = once(events, "repaired");
    // Nobody reads the notifications meanwhile: this thread waits for nft.
    const many = Array.from(
      { length: 20_000 },
      (_, index) => `ip saddr 198.18.${index >> 8}.${index & 255} accept`,
    );
    nft.run(`table inet flood { chain c { ${many.join("; ")}; }; }`);
    nft.run("delete table inet loden\ndelete table inet flood");
    expect(lostNotifications()).toBeGreaterThan(0);
    await repaired;
    expect(nft.tables()).toEqual(right);
  });

  test("openFirewall() puts the table back while another process changes its own all the time", async () => {
    await firewall.apply(rules);
    const right = nft.tables();
    const flood = host.run(() =>
      spawn(
        "sh",
        ["-c", "echo started; while :; do nft add table inet flood; nft delete table inet flood; done"],
        {
          stdio: ["ignore", "pipe", "inherit"],
        },
      ),
    );
    await once(flood.stdout, "data");
    for (let round = 0; round < 3; round++) {
      const repaired = once(events, "repaired");
      nft.run("flush table inet loden");
      await repaired;
    }
    flood.kill("SIGKILL");
    // Its `nft` that is under way holds the output open, and may change something yet.
    await once(flood, "close");
    nft.run("add table inet flood\ndelete table inet flood");
    expect(nft.tables()).toEqual(right);
  });

  test("openFirewall() leaves alone what others do after clear() and close()", async () => {
    await firewall.apply(rules);
    const right = nft.tables();
    await firewall.clear();
    nft.run("table inet loden { chain forward { accept; }; }");
    const theirs = nft.tables();
    // A look comes before this one is repaired.
    using another = openFirewall({ netns: host, table: "another", repair: true });
    await another.apply({ networks: rules.networks, forward: false, masquerade: {} });
    const repaired = once(events, "repaired");
    nft.run("delete table inet another");
    await repaired;
    await another.clear();
    expect(nft.tables()).toEqual(theirs);
    await firewall.apply(rules);
    expect(nft.tables()).toEqual(right);
  });
});

/** How many notifications the sockets of the namespace have lost. */
function lostNotifications(): number {
  const lines = host
    .run(() => readFileSync("/proc/thread-self/net/netlink", "utf8"))
    .split("\n")
    .slice(1, -1);
  return lines.reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[8]), 0);
}
