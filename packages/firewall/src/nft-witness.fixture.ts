import { parsePrefix } from "@loden/ip";
import type { Netns } from "@loden/netns";
import { execFileSync } from "node:child_process";
import type { FirewallRules } from "./firewall-rules.ts";

/** All that a firewall can be asked for, in both families. */
export const dualStackRules: FirewallRules = {
  networks: [
    { network: parsePrefix("10.5.0.0/16"), subnet: parsePrefix("10.5.3.0/24") },
    { network: parsePrefix("fd00:5::/52"), subnet: parsePrefix("fd00:5:0:3::/64") },
  ],
  masquerade: {
    except: [parsePrefix("192.168.0.0/20"), parsePrefix("203.0.113.7/32"), parsePrefix("2001:db8::/47")],
  },
  forward: true,
  forgery: { ports: [8285, 8472], links: ["eth0", "bond0.5"] },
};

/** What Docker has of iptables-nft: it accepts nothing that DOCKER-USER has not let go on. */
export const DOCKER_TABLE = `
  table ip filter {
    chain DOCKER-USER {
      counter return
    }
    chain FORWARD {
      type filter hook forward priority filter; policy drop;
      counter jump DOCKER-USER
    }
  }`;

/** Test support: a namespace's ruleset as `nft` has it, who is also the one that breaks it. */
export class NftWitness {
  readonly #netns: Netns;

  constructor(netns: Netns) {
    this.#netns = netns;
  }

  /** Carries out commands of `nft`, or what iptables and others read from their input. */
  run(input: string, command: readonly [string, ...string[]] = ["nft", "-f", "-"]): string {
    const [program, ...words] = command;
    return this.#netns.run(() => execFileSync(program, words, { input, encoding: "utf8" }));
  }

  /** Every table as a text of its own, sorted: one that was put back comes last in the kernel. */
  tables(): string[] {
    return this.run("", ["nft", "list", "ruleset"])
      .split(/^(?=table )/m)
      .filter((table) => table !== "")
      .toSorted();
  }

  /** Handle of the first rule with that text. */
  handleOf(rule: string): string {
    const listed = this.run("", ["nft", "-a", "list", "ruleset"]);
    const [, handle] = / # handle (\d+)/.exec(listed.slice(listed.indexOf(rule))) ?? [];
    if (!listed.includes(rule) || handle === undefined)
      throw new Error(`Cannot find rule ${rule}: it is not listed, expected it in the chain`);
    return handle;
  }
}
