import { parsePrefix } from "@loden/ip";
import { createNetns, type Netns } from "@loden/netns";
import { execFileSync } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { FirewallEvent } from "./firewall-events.ts";
import { formatFirewall } from "./format-firewall.ts";
import { DOCKER_TABLE, dualStackRules as rules, NftWitness } from "./nft-witness.fixture.ts";
import { openFirewall } from "./open-firewall.ts";
import { planFirewall } from "./plan-firewall.ts";

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

describe("the table", () => {
  test("apply() makes what nft makes of the same text", async () => {
    using other = createNetns();
    new NftWitness(other).run(formatFirewall(planFirewall(rules)));
    using firewall = openFirewall({ netns: host });
    using witness = openFirewall({ netns: other });
    expect(await firewall.apply(rules)).toEqual({ changed: true });
    expect(await witness.list()).toEqual(await firewall.list());
    // expression by expression: there is nothing to replace
    expect(await witness.apply(rules)).toEqual({ changed: false });
    expect(nft.tables()).toEqual(new NftWitness(other).tables());
  });

  test("apply() makes the tables of a kernel without NAT in inet as nft makes them", async () => {
    const text = formatFirewall(planFirewall(rules, { inet: false }));
    nft.run(text);
    using firewall = openFirewall({ netns: host });
    expect(await firewall.list()).toEqual(text.split("\n").slice(0, -1));
    // and here it replaces both by one
    expect(await firewall.apply(rules)).toEqual({ changed: true });
    expect(await firewall.list()).toEqual(formatFirewall(planFirewall(rules)).split("\n").slice(0, -1));
  });

  test("apply() changes nothing the second time, and neither does another process", async () => {
    using firewall = openFirewall({ netns: host });
    await firewall.apply(rules);
    const before = nft.run("", ["nft", "-a", "list", "ruleset"]);
    expect(await firewall.apply(rules)).toEqual({ changed: false });
    using another = openFirewall({ netns: host });
    expect(await another.apply(rules)).toEqual({ changed: false });
    // the same handles: it is the same table still
    expect(nft.run("", ["nft", "-a", "list", "ruleset"])).toBe(before);
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
    nft.run(
      damage
        .replaceAll("; ", "\n")
        .replace("handle 4", `handle ${nft.handleOf("ip saddr 10.5.0.0/16 accept")}`),
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
    expect(nft.tables()).toEqual([]);
  });

  test("clear() works without prior state and leaves what was there before", async () => {
    nft.run(`${DOCKER_TABLE}
      table inet loden-other { chain c { accept; }; }
      table arp loden { chain c { accept; }; }`);
    const before = nft.tables();
    using firewall = openFirewall({ netns: host });
    expect(await firewall.clear()).toEqual({ changed: false });
    await firewall.apply(rules);
    expect(nft.tables()).not.toEqual(before);
    using afterCrash = openFirewall({ netns: host });
    expect(await afterCrash.clear()).toEqual({ changed: true });
    expect(nft.tables()).toEqual(before);
    expect(await afterCrash.list()).toEqual([]);
    expect(await afterCrash.clear()).toEqual({ changed: false });
  });

  test("apply() keeps two tables side by side apart", async () => {
    nft.run(DOCKER_TABLE);
    using blue = openFirewall({ netns: host, table: "blue" });
    using red = openFirewall({ netns: host, table: "red" });
    const redRules = { networks: rules.networks.slice(0, 1), masquerade: {}, forward: true };
    await blue.apply(rules);
    const before = nft.tables();
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
    expect(nft.tables()).toEqual(before);
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

test("list() and apply() say what they need when there is no privilege", async () => {
  const script = `
    import { DOCKER_TABLE, dualStackRules as rules, NftWitness } from "./nft-witness.fixture.ts";
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
