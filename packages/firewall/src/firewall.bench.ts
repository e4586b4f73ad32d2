import { parsePrefix } from "@loden/ip";
import { createNetns, type Netns } from "@loden/netns";
import { spawnSync } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { EventEmitter, once } from "node:events";
import { setTimeout } from "node:timers/promises";
import type { FirewallRules } from "./firewall-rules.ts";
import type { Firewall } from "./firewall.ts";
import { openFirewall } from "./open-firewall.ts";

/** Name under which `npm run bench -- firewall` finds this benchmark. */
export const name = "firewall";

/** What a benchmark hands back: ratios against something in the same run, and figures in milliseconds. */
export interface BenchResult {
  readonly ratios: Readonly<Record<string, number>>;
  readonly figures: Readonly<Record<string, number>>;
}

/** Chains and rules of others, as many as kube-proxy makes for some thousand services. */
const CHAINS = 5_000;
const QUIET_MS = 600;

const rules: FirewallRules = {
  networks: [
    { network: parsePrefix("10.5.0.0/16"), subnet: parsePrefix("10.5.3.0/24") },
    { network: parsePrefix("fd00:5::/52"), subnet: parsePrefix("fd00:5:0:3::/64") },
  ],
  masquerade: {},
  forward: true,
  forgery: { ports: [8285], links: ["eth0"] },
};

/**
 * Looks whether the firewall is right, and repairs it after `nft` has deleted it, among 5,000 chains of others. Needs root, and `nft`.
 *
 * @param options How many interleaved rounds; medians are given.
 * @returns Ratios of a look's time to that of one `nft list table` of ours (`look/nft`) and of one half of our looks to the other
 *   (`look/look`, the noise), and milliseconds (`lookMs`, `nftMs`, `repairMs` from the end of the deletion).
 */
export async function run(options: { readonly rounds: number }): Promise<BenchResult> {
  using netns = createNetns();
  const chains = Array.from({ length: CHAINS }, (_, index) => chainOf(index));
  nft(netns, ["-f", "-"], `table ip others {\n${chains.join("\n")}\n}\n`);
  using firewall = openFirewall({ netns, repair: true });
  await firewall.apply(rules);
  const rounds: Round[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const first = await look(firewall);
    const listed = milliseconds(() => nft(netns, ["list", "table", "inet", "loden"]));
    const second = await look(firewall);
    // Whoever breaks it again at once waits longer, by intention: that is not what is measured.
    await setTimeout(QUIET_MS);
    rounds.push({ first, listed, second, repaired: await repair(netns) });
  }
  return {
    ratios: {
      "look/look": median(rounds.map(({ first, second }) => first / second)),
      "look/nft": median(rounds.map(({ first, second, listed }) => (first + second) / 2 / listed)),
    },
    figures: {
      lookMs: median(rounds.flatMap(({ first, second }) => [first, second])),
      nftMs: median(rounds.map(({ listed }) => listed)),
      repairMs: median(rounds.map(({ repaired }) => repaired)),
    },
  };
}

interface Round {
  readonly first: number;
  readonly second: number;
  readonly listed: number;
  readonly repaired: number;
}

function chainOf(index: number): string {
  const address = `10.96.${index >> 8}.${index & 255}`;
  return `chain service-${index} {
    ip saddr != 10.5.0.0/16 ip daddr ${address} tcp dport 80 meta mark set 0x4000
    ip daddr ${address} tcp dport 80 counter return
  }`;
}

async function look(firewall: Firewall): Promise<number> {
  const start = performance.now();
  const { changed } = await firewall.apply(rules);
  if (changed) throw new Error("Cannot measure a look: somebody changed the table");
  return performance.now() - start;
}

async function repair(netns: Netns): Promise<number> {
  const events = new EventEmitter();
  const record = (message: unknown): void =>
    void events.emit((message as { readonly type: string }).type, message);
  subscribe("loden:firewall", record);
  try {
    nft(netns, ["delete", "table", "inet", "loden"]);
    const start = performance.now();
    await once(events, "repaired");
    return performance.now() - start;
  } finally {
    unsubscribe("loden:firewall", record);
  }
}

function milliseconds(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

function nft(netns: Netns, words: readonly string[], input = ""): void {
  const { status, stderr, error } = netns.run(() => spawnSync("nft", words, { input, encoding: "utf8" }));
  if (status !== 0) throw new Error(`Cannot run nft ${words.join(" ")}: ${stderr}`, { cause: error });
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}
