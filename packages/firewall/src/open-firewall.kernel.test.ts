import { parsePrefix } from "@loden/ip";
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
import { existsSync } from "node:fs";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { FirewallEvent } from "./firewall-events.ts";
import type { FirewallRules } from "./firewall-rules.ts";
import { formatFirewall } from "./format-firewall.ts";
import { NftablesSocket } from "./nftables-socket.ts";
import { openFirewall } from "./open-firewall.ts";
import { planFirewall } from "./plan-firewall.ts";

// One namespace without links: only the ruleset matters here. `nft` is the witness.
const rules: FirewallRules = {
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

const hasIptables = spawnSync("iptables-nft", ["--version"]).status === 0;
// The kernel may be without iptables-legacy, and so may the machine.
const hasLegacy =
  existsSync("/proc/net/ip_tables_names") && spawnSync("iptables-legacy", ["--version"]).status === 0;

let host: Netns;
let events: FirewallEvent[];
const record = (message: unknown): void => void events.push(message as FirewallEvent);

beforeEach(() => {
  host = createNetns();
  events = [];
  subscribe("loden:firewall", record);
});
afterEach(() => {
  unsubscribe("loden:firewall", record);
  host.close();
});

/** Runs `nft` in the namespace. */
function nft(input: string, netns: Netns = host): string {
  return netns.run(() => execFileSync("nft", ["-f", "-"], { input, encoding: "utf8" }));
}

/** The whole ruleset as data, without the numbers that the kernel gives to things. */
function dump(): unknown {
  const json = host.run(() => execFileSync("nft", ["-j", "list", "ruleset"], { encoding: "utf8" }));
  return JSON.parse(json, (key, value: unknown) =>
    key === "handle" || key === "metainfo" ? undefined : value,
  );
}

const dockerTable = `
  table ip filter {
    chain DOCKER-USER {
      counter return
    }
    chain FORWARD {
      type filter hook forward priority filter; policy drop;
      counter jump DOCKER-USER
    }
  }`;

describe("the table", () => {
  test("apply() makes what nft makes of the same text", async () => {
    using other = createNetns();
    nft(formatFirewall(planFirewall(rules)), other);
    using firewall = openFirewall({ netns: host });
    using witness = openFirewall({ netns: other });
    expect(await firewall.apply(rules)).toEqual({ changed: true });
    expect(await witness.list()).toEqual(await firewall.list());
    // expression by expression: there is nothing to replace
    expect(await witness.apply(rules)).toEqual({ changed: false });
    const list = (netns: Netns): string =>
      netns.run(() => execFileSync("nft", ["list", "table", "inet", "loden"], { encoding: "utf8" }));
    expect(list(host)).toBe(list(other));
  });

  test("apply() makes the tables of a kernel without NAT in inet as nft makes them", async () => {
    const text = formatFirewall(planFirewall(rules, { inet: false }));
    nft(text);
    using firewall = openFirewall({ netns: host });
    expect(await firewall.list()).toEqual(text.split("\n").slice(0, -1));
    // and here it replaces both by one
    expect(await firewall.apply(rules)).toEqual({ changed: true });
    expect(await firewall.list()).toEqual(formatFirewall(planFirewall(rules)).split("\n").slice(0, -1));
  });

  test("apply() changes nothing the second time, and neither does another process", async () => {
    using firewall = openFirewall({ netns: host });
    await firewall.apply(rules);
    const before = host.run(() => execFileSync("nft", ["-j", "-a", "list", "ruleset"], { encoding: "utf8" }));
    expect(await firewall.apply(rules)).toEqual({ changed: false });
    using another = openFirewall({ netns: host });
    expect(await another.apply(rules)).toEqual({ changed: false });
    // the same handles: it is the same table still
    expect(host.run(() => execFileSync("nft", ["-j", "-a", "list", "ruleset"], { encoding: "utf8" }))).toBe(
      before,
    );
    expect(events.map(({ type }) => type)).toEqual(["changed"]);
  });

  test.each([
    ["a rule is gone", "delete rule inet loden forward handle 4"],
    ["a rule is added", "insert rule inet loden forward drop"],
    ["a rule is commented", 'add rule inet loden forward ip saddr 10.5.0.0/16 accept comment "hm"'],
    ["a policy is changed", "chain inet loden forward { policy drop; }"],
    ["a chain is added", "add chain inet loden more"],
    ["a chain is gone", "flush chain inet loden forward; delete chain inet loden forward"],
    ["the table is gone", "delete table inet loden"],
    ["the table sleeps", "add table inet loden { flags dormant; }"],
    ["a table of the same name stands in another family", "add table ip6 loden"],
  ])("apply() makes the table whole again when %s", async (_title, damage) => {
    using firewall = openFirewall({ netns: host });
    await firewall.apply({ ...rules, masquerade: undefined });
    const good = await firewall.list();
    nft(
      damage.replaceAll("; ", "\n").replace("handle 4", `handle ${handleOf("ip saddr 10.5.0.0/16 accept")}`),
    );
    expect(await firewall.list()).not.toEqual(good);
    expect(await firewall.apply({ ...rules, masquerade: undefined })).toEqual({ changed: true });
    expect(await firewall.list()).toEqual(good);
    expect(await firewall.apply({ ...rules, masquerade: undefined })).toEqual({ changed: false });
  });

  test("apply() follows the desired rules and removes the table when there are none", async () => {
    using firewall = openFirewall({ netns: host });
    await firewall.apply(rules);
    await firewall.apply({ networks: rules.networks.slice(0, 1), forward: true });
    expect(await firewall.list()).toHaveLength(7);
    expect(await firewall.apply({ networks: [], forward: true })).toEqual({ changed: true });
    expect(dump()).toEqual({ nftables: [{}] });
  });

  test("clear() works without prior state and leaves what was there before", async () => {
    nft(`${dockerTable}
      table inet loden-other { chain c { accept; }; }
      table arp loden { chain c { accept; }; }`);
    const before = dump();
    using firewall = openFirewall({ netns: host });
    expect(await firewall.clear()).toEqual({ changed: false });
    await firewall.apply(rules);
    expect(dump()).not.toEqual(before);
    using afterCrash = openFirewall({ netns: host });
    expect(await afterCrash.clear()).toEqual({ changed: true });
    expect(dump()).toEqual(before);
    expect(await afterCrash.list()).toEqual([]);
    expect(await afterCrash.clear()).toEqual({ changed: false });
  });

  test("apply() keeps two tables side by side apart", async () => {
    nft(dockerTable);
    using blue = openFirewall({ netns: host, table: "blue" });
    using red = openFirewall({ netns: host, table: "red" });
    const redRules = { networks: rules.networks.slice(0, 1), masquerade: {}, forward: true };
    await blue.apply(rules);
    const before = dump();
    const blueList = await blue.list();
    await red.apply(redRules);
    expect(await blue.apply(rules)).toEqual({ changed: false });
    expect(await red.apply(redRules)).toEqual({ changed: false });
    expect((await red.list()).filter((line) => line.includes("comment"))).toEqual([
      '\t\tip saddr 10.5.0.0/16 accept comment "loden red"',
      '\t\tip daddr 10.5.0.0/16 accept comment "loden red"',
    ]);
    expect(await blue.list()).toEqual(blueList);
    await red.clear();
    expect(dump()).toEqual(before);
  });

  test("apply() takes thousands of exceptions", async () => {
    const except = Array.from({ length: 2_000 }, (_, index) =>
      parsePrefix(`172.16.${index >> 8}.${index & 255}/32`),
    );
    using firewall = openFirewall({ netns: host });
    await firewall.apply({ ...rules, masquerade: { except } });
    expect((await firewall.list()).filter((line) => line.includes("ip daddr 172.16."))).toHaveLength(2_000);
    expect(await firewall.apply({ ...rules, masquerade: { except } })).toEqual({ changed: false });
  });
});

/** Handle of the only rule with that text. */
function handleOf(text: string): string {
  const listed = host.run(() => execFileSync("nft", ["-a", "list", "ruleset"], { encoding: "utf8" }));
  const line = listed.split("\n").find((one) => one.includes(`${text} # handle`));
  return line?.split(" ").at(-1) ?? "0";
}

describe("chains of others", () => {
  test("apply() inserts accepts into DOCKER-USER and into chains that drop, and says so", async () => {
    nft(`${dockerTable}
      table ip6 filter { chain FORWARD { type filter hook forward priority filter; policy drop; }; }
      table inet quiet { chain f { type filter hook forward priority 5; policy accept; }; }`);
    const before = dump();
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
    expect(dump()).toEqual(before);
  });

  test.each([
    [
      "a rule that rejects the rest",
      "inet",
      "ct state established accept; counter reject with icmpx type admin-prohibited",
    ],
    ["a rule that drops the rest", "ip", "counter drop"],
  ])("apply() inserts accepts before %s", async (_title, family, body) => {
    nft(`table ${family} filter { chain FORWARD { type filter hook forward priority 10; ${body}; }; }
      table ${family} other { chain f { type filter hook forward priority 10; tcp dport 22 drop; }; }`);
    const before = dump();
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
    expect(dump()).toEqual(before);
  });

  test("apply() moves its accepts when DOCKER-USER comes or a policy changes", async () => {
    nft("table ip filter { chain FORWARD { type filter hook forward priority filter; policy drop; }; }");
    using firewall = openFirewall({ netns: host });
    const where = async (): Promise<string[]> =>
      (await firewall.list()).filter((line) => /chain [A-Z]/.test(line) && line.endsWith("{"));
    await firewall.apply(rules);
    expect(await where()).toEqual(["\tchain FORWARD {"]);
    nft("add chain ip filter DOCKER-USER\ninsert rule ip filter FORWARD jump DOCKER-USER");
    expect(await firewall.apply(rules)).toEqual({ changed: true });
    expect(await where()).toEqual(["\tchain DOCKER-USER {"]);
    nft("chain ip filter FORWARD { policy accept; }");
    expect(await firewall.apply(rules)).toEqual({ changed: true });
    expect(await where()).toEqual([]);
  });

  test("apply() puts its accepts back when somebody deletes one, and keeps their order", async () => {
    nft(dockerTable);
    using firewall = openFirewall({ netns: host });
    await firewall.apply(rules);
    const good = await firewall.list();
    nft(
      `delete rule ip filter DOCKER-USER handle ${handleOf('ip saddr 10.5.0.0/16 accept comment "loden loden"')}`,
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
    nft(`table inet input { chain f { type filter hook input priority 0; policy drop; }; }
      table inet asleep { flags dormant; chain f { type filter hook forward priority 0; policy drop; }; }
      table bridge b { chain f { type filter hook forward priority 0; policy drop; }; }`);
    const before = dump();
    using firewall = openFirewall({ netns: host });
    await firewall.apply(rules);
    nft("delete table inet loden");
    expect(dump()).toEqual(before);
  });

  test.runIf(hasIptables)(
    "clear() finds its accepts after iptables-restore put back what iptables-save wrote",
    async () => {
      const iptables = (command: string, input = ""): string =>
        host.run(() => execFileSync("sh", ["-c", command], { input, encoding: "utf8" }));
      iptables(
        "iptables-nft -P FORWARD DROP; iptables-nft -N DOCKER-USER; iptables-nft -I FORWARD -j DOCKER-USER",
      );
      const before = iptables("iptables-nft -S");
      using firewall = openFirewall({ netns: host });
      await firewall.apply(rules);
      expect(iptables("iptables-nft -S DOCKER-USER").split("\n")).toEqual([
        "-N DOCKER-USER",
        '-A DOCKER-USER -s 10.5.0.0/16 -m comment --comment "loden loden" -j ACCEPT',
        '-A DOCKER-USER -d 10.5.0.0/16 -m comment --comment "loden loden" -j ACCEPT',
        "",
      ]);
      iptables("iptables-nft-restore", iptables("iptables-nft-save"));
      expect(await firewall.apply(rules)).toEqual({ changed: true });
      expect(await firewall.apply(rules)).toEqual({ changed: false });
      iptables("iptables-nft-restore", iptables("iptables-nft-save"));
      await firewall.clear();
      expect(iptables("iptables-nft -S")).toBe(before);
    },
  );

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

test("list() and apply() say what they need when there is no privilege", async () => {
  const script = `
    import { openFirewall } from "@loden/firewall";
    using firewall = openFirewall();
    await firewall.list().catch((error) => console.log(error.code));`;
  const output = host.run(() =>
    execFileSync(
      "setpriv",
      [
        "--bounding-set=-net_admin",
        "--inh-caps=-net_admin",
        process.execPath,
        "--conditions=@loden/source",
        "-e",
        script,
      ],
      { encoding: "utf8", cwd: import.meta.dirname },
    ),
  );
  expect(output).toBe("EPERM\n");
});
