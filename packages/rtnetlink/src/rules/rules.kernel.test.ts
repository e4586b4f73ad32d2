import { parsePrefix } from "@loden/ip";
import { createNetns } from "@loden/netns";
import { describe, expect, test } from "vitest";
import { openRtnetlink } from "../open-rtnetlink.ts";
import { formatRule } from "./format-rule.ts";
import type { Rule } from "./rule.ts";

describe("rules", () => {
  test("rules.add(), list() and delete() work on rules of both families, with what selects packets", async () => {
    using host = createNetns();
    using kernel = openRtnetlink({ netns: host });
    const before = await kernel.rules.list();
    expect(before.map(({ family, priority }) => [family, priority])).toEqual(
      expect.arrayContaining([
        [4, 0],
        [4, 32766],
        [6, 0],
      ]),
    );
    const rules: Rule[] = [
      { from: parsePrefix("10.5.0.0/16"), mark: 0x4000, markMask: 0x4000, table: 1000, priority: 100 },
      { to: parsePrefix("10.6.0.0/16"), inputLink: "eth0", action: "blackhole", priority: 101 },
      { from: parsePrefix("fd05::/48"), outputLink: "eth0", table: 100, priority: 102, invert: true },
      { suppressPrefixLength: 0, priority: 103 },
    ];
    for (const rule of rules) await kernel.rules.add(rule);
    const listed = (await kernel.rules.list()).filter(({ priority }) => priority >= 100 && priority < 110);
    expect(listed.map(formatRule)).toEqual([
      "from 10.5.0.0/16 fwmark 0x4000/0x4000 table 1000 priority 100 protocol 4",
      "from all to 10.6.0.0/16 iif eth0 blackhole priority 101 protocol 4",
      "from all table 254 suppress_prefixlength 0 priority 103 protocol 4",
      "not from fd05::/48 oif eth0 table 100 priority 102 protocol 4",
    ]);
    await expect(kernel.rules.add(rules[0]!)).rejects.toMatchObject({ code: "EEXIST" });
    for (const rule of listed) await kernel.rules.delete(rule);
    expect(await kernel.rules.list()).toEqual(before);
    await expect(kernel.rules.delete(rules[0]!)).rejects.toMatchObject({ code: "ENOENT" });
  });
});
