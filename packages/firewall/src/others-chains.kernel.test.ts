import {
  encodeNftChain,
  encodeNftTable,
  MessageFlag,
  NftFamily,
  NftHook,
  NftMessageType,
} from "@loden/netlink";
import { createNetns, type Netns } from "@loden/netns";
import { execFileSync, spawnSync } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { existsSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { FirewallEvent } from "./firewall-events.ts";
import { NftablesSocket } from "./nftables-socket.ts";
import { DOCKER_TABLE, dualStackRules as rules, NftWitness } from "./nft-witness.fixture.ts";
import { openFirewall } from "./open-firewall.ts";

const hasIptables = spawnSync("iptables-nft", ["--version"]).status === 0;
// The kernel may be without iptables-legacy, and so may the machine.
const hasLegacy =
  existsSync("/proc/net/ip_tables_names") && spawnSync("iptables-legacy", ["--version"]).status === 0;

// One namespace without links: only the ruleset matters here. `nft` is the witness.
let host: Netns;
let nft: NftWitness;
let events: FirewallEvent[];
const record = (message: unknown): void => void events.push(message as FirewallEvent);

beforeEach(() => {
  host = createNetns();
  nft = new NftWitness(host);
  events = [];
  subscribe("loden:firewall", record);
});
afterEach(() => {
  unsubscribe("loden:firewall", record);
  host.close();
});

describe("chains of others", () => {
  test("apply() inserts accepts into DOCKER-USER and into chains that drop, and says so", async () => {
    nft.run(`${DOCKER_TABLE}
      table ip6 filter { chain FORWARD { type filter hook forward priority filter; policy drop; }; }
      table inet quiet { chain f { type filter hook forward priority 5; policy accept; }; }`);
    const before = nft.tables();
    using firewall = openFirewall({ netns: host });
    await firewall.apply({ ...rules, masquerade: undefined });
    expect((await firewall.list()).slice(-16)).toEqual(
      `# rules of ours in chains of others:
table ip filter {
	chain DOCKER-USER {
		ip saddr 10.5.0.0/16 accept comment "loden loden"
		ip daddr 10.5.0.0/16 accept comment "loden loden"
	}
}

table ip6 filter {
	chain FORWARD {
		ip6 saddr fd00:5::/52 accept comment "loden loden"
		ip6 daddr fd00:5::/52 accept comment "loden loden"
	}
}
# chain ip filter FORWARD drops forwarded packets, but for those that our rules in DOCKER-USER accept
# chain ip6 filter FORWARD drops forwarded packets, but for those that our rules in FORWARD accept`.split(
        "\n",
      ),
    );
    expect(events).toMatchObject([
      { type: "changed" },
      { type: "accepted", chain: "ip filter FORWARD", into: "ip filter DOCKER-USER", firewall: "loden" },
      {
        type: "accepted",
        chain: "ip6 filter FORWARD",
        into: "ip6 filter FORWARD",
        rules: [
          'ip6 saddr fd00:5::/52 accept comment "loden loden"',
          'ip6 daddr fd00:5::/52 accept comment "loden loden"',
        ],
      },
    ]);
    await firewall.apply(rules);
    await firewall.clear();
    expect(nft.tables()).toEqual(before);
  });

  test("explain() prints what apply() inserts into chains of others, which can be typed in", async () => {
    nft.run(`${DOCKER_TABLE}
      table ip6 filter { chain FORWARD { type filter hook forward priority filter; policy drop; }; }`);
    const before = nft.tables();
    using firewall = openFirewall({ netns: host });
    const lines = await firewall.explain(rules);
    expect(lines).toEqual([
      "# chain ip filter FORWARD drops forwarded packets",
      `nft 'insert rule ip filter DOCKER-USER ip daddr 10.5.0.0/16 accept comment "loden loden"'`,
      `nft 'insert rule ip filter DOCKER-USER ip saddr 10.5.0.0/16 accept comment "loden loden"'`,
      "# chain ip6 filter FORWARD drops forwarded packets",
      `nft 'insert rule ip6 filter FORWARD ip6 daddr fd00:5::/52 accept comment "loden loden"'`,
      `nft 'insert rule ip6 filter FORWARD ip6 saddr fd00:5::/52 accept comment "loden loden"'`,
    ]);
    expect(nft.tables()).toEqual(before);
    host.run(() => execFileSync("sh", ["-e"], { input: lines.join("\n") }));
    const typed = (await firewall.list()).filter((line) => line.includes("accept comment"));
    await firewall.apply({ ...rules, masquerade: undefined });
    expect((await firewall.list()).filter((line) => line.includes("accept comment"))).toEqual(typed);
    await firewall.clear();
    expect(nft.tables()).toEqual(before);
  });

  test.each([
    [
      "a rule that rejects the rest",
      "inet",
      "ct state established accept; counter reject with icmpx type admin-prohibited",
    ],
    ["a rule that drops the rest", "ip", "counter drop"],
  ])("apply() inserts accepts before %s", async (_title, family, body) => {
    nft.run(`table ${family} filter { chain FORWARD { type filter hook forward priority 10; ${body}; }; }
      table ${family} other { chain f { type filter hook forward priority 10; tcp dport 22 drop; }; }`);
    const before = nft.tables();
    using firewall = openFirewall({ netns: host });
    await firewall.apply({ networks: rules.networks.slice(0, 1), forward: true });
    expect(events.slice(1)).toMatchObject([{ type: "accepted", into: `${family} filter FORWARD` }]);
    const listed = host.run(() =>
      execFileSync("nft", ["-s", "list", "chain", family, "filter", "FORWARD"], { encoding: "utf8" }),
    );
    expect(listed.split("\n").slice(3, 5)).toEqual([
      '\t\tip saddr 10.5.0.0/16 accept comment "loden loden"',
      '\t\tip daddr 10.5.0.0/16 accept comment "loden loden"',
    ]);
    await firewall.clear();
    expect(nft.tables()).toEqual(before);
  });

  test("apply() moves its accepts when DOCKER-USER comes or a policy changes", async () => {
    nft.run("table ip filter { chain FORWARD { type filter hook forward priority filter; policy drop; }; }");
    using firewall = openFirewall({ netns: host });
    const where = async (): Promise<string[]> =>
      (await firewall.list()).filter((line) => /chain [A-Z]/.test(line) && line.endsWith("{"));
    await firewall.apply(rules);
    expect(await where()).toEqual(["\tchain FORWARD {"]);
    nft.run("add chain ip filter DOCKER-USER\ninsert rule ip filter FORWARD jump DOCKER-USER");
    expect(await firewall.apply(rules)).toEqual({ changed: true });
    expect(await where()).toEqual(["\tchain DOCKER-USER {"]);
    nft.run("chain ip filter FORWARD { policy accept; }");
    expect(await firewall.apply(rules)).toEqual({ changed: true });
    expect(await where()).toEqual([]);
  });

  test("apply() puts its accepts back when somebody deletes one, and keeps their order", async () => {
    nft.run(DOCKER_TABLE);
    using firewall = openFirewall({ netns: host });
    await firewall.apply(rules);
    const good = await firewall.list();
    nft.run(
      `delete rule ip filter DOCKER-USER handle ${nft.handleOf('ip saddr 10.5.0.0/16 accept comment "loden loden"')}`,
    );
    expect(await firewall.list()).not.toEqual(good);
    expect(await firewall.apply(rules)).toEqual({ changed: true });
    expect(await firewall.list()).toEqual(good);
  });

  test("apply() leaves a table alone that belongs to a running program, and says so", async () => {
    const family = NftFamily.inet;
    const attempt = (): string => "hold a table";
    const owner = new NftablesSocket(host);
    try {
      // newer firewalld holds its table like this
      const refusals = owner.commit(owner.generation(), [
        {
          type: NftMessageType.newTable,
          flags: MessageFlag.create,
          payload: encodeNftTable({ family, name: "held", flags: 2 }),
          attempt,
        },
        {
          type: NftMessageType.newChain,
          flags: MessageFlag.create,
          payload: encodeNftChain({
            family,
            table: "held",
            name: "f",
            type: "filter",
            hook: { number: NftHook.forward, priority: 0 },
            policy: "drop",
          }),
          attempt,
        },
      ]);
      expect(refusals).toEqual([]);
      using firewall = openFirewall({ netns: host });
      expect(await firewall.apply(rules)).toEqual({ changed: true });
      expect(await firewall.apply(rules)).toEqual({ changed: false });
      expect(events).toMatchObject([{ type: "changed" }, { type: "locked", chain: "inet held f" }]);
      expect((await firewall.list()).at(-1)).toBe(
        "# chain inet held f drops forwarded packets, and there is no rule of ours against that",
      );
      expect(await firewall.clear()).toEqual({ changed: true });
    } finally {
      owner.close();
    }
  });

  test("apply() does not mind chains that drop but see no forwarded packets", async () => {
    nft.run(`table inet input { chain f { type filter hook input priority 0; policy drop; }; }
      table inet asleep { flags dormant; chain f { type filter hook forward priority 0; policy drop; }; }
      table bridge b { chain f { type filter hook forward priority 0; policy drop; }; }`);
    const before = nft.tables();
    using firewall = openFirewall({ netns: host });
    await firewall.apply(rules);
    nft.run("delete table inet loden");
    expect(nft.tables()).toEqual(before);
  });

  describe.runIf(hasIptables).each([
    ["iptables-nft", "10.5.0.0/16"],
    ["ip6tables-nft", "fd00:5::/52"],
  ])("tables of %s", (program, overlay) => {
    const shell = (command: string, input = ""): string => nft.run(input, ["sh", "-ec", command]);
    const accepts = [
      `-s ${overlay} -m comment --comment "loden loden" -j ACCEPT`,
      `-d ${overlay} -m comment --comment "loden loden" -j ACCEPT`,
    ];

    test("clear() finds its accepts after iptables-restore put back what iptables-save wrote", async () => {
      shell(`${program} -P FORWARD DROP; ${program} -N DOCKER-USER; ${program} -I FORWARD -j DOCKER-USER`);
      const before = shell(`${program} -S`);
      using firewall = openFirewall({ netns: host });
      await firewall.apply(rules);
      expect(shell(`${program} -S DOCKER-USER`).split("\n")).toEqual([
        "-N DOCKER-USER",
        ...accepts.map((accept) => `-A DOCKER-USER ${accept}`),
        "",
      ]);
      shell(`${program}-restore`, shell(`${program}-save`));
      expect(await firewall.apply(rules)).toEqual({ changed: true });
      expect(await firewall.apply(rules)).toEqual({ changed: false });
      shell(`${program}-restore`, shell(`${program}-save`));
      await firewall.clear();
      expect(shell(`${program} -S`)).toBe(before);
    });

    test.each(["REJECT", "DROP"])(
      "apply() comes before a rule that gives everything to %s",
      async (target) => {
        shell(
          `${program} -A FORWARD -i lo -j ACCEPT; ${program} -A FORWARD -m comment --comment rest -j ${target}`,
        );
        shell(`${program} -A INPUT -j ${target}`);
        const before = shell(`${program} -S`);
        using firewall = openFirewall({ netns: host });
        await firewall.apply(rules);
        expect(shell(`${program} -S FORWARD`).split("\n").slice(1, 3)).toEqual(
          accepts.map((accept) => `-A FORWARD ${accept}`),
        );
        await firewall.clear();
        expect(shell(`${program} -S`)).toBe(before);
      },
    );

    test("apply() leaves alone a chain that drops only some packets", async () => {
      shell(`${program} -A FORWARD -p tcp --dport 22 -j DROP`);
      const before = shell(`${program} -S`);
      using firewall = openFirewall({ netns: host });
      await firewall.apply(rules);
      expect(shell(`${program} -S`)).toBe(before);
    });
  });

  test.runIf(hasLegacy)("apply() says that tables of iptables-legacy cannot be seen", async () => {
    host.run(() => execFileSync("iptables-legacy", ["-P", "FORWARD", "DROP"]));
    using firewall = openFirewall({ netns: host });
    expect(await firewall.list()).toEqual([]);
    await firewall.apply(rules);
    expect(events).toMatchObject([{ type: "changed" }, { type: "unseen", tables: ["filter"] }]);
    expect((await firewall.list()).at(-1)).toBe(
      "# iptables-legacy has tables here (filter), whose rules nftables cannot see",
    );
  });
});
