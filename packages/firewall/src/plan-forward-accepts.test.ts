import { parsePrefix } from "@loden/ip";
import { describe, expect, test } from "vitest";
import { formatRule } from "./format-rule.ts";
import { planChanges } from "./plan-changes.ts";
import { planForwardAccepts } from "./plan-forward-accepts.ts";
import type { ForwardChain } from "./read-ruleset.ts";

const networks = [
  { network: parsePrefix("10.5.0.0/16"), subnet: parsePrefix("10.5.3.0/24") },
  { network: parsePrefix("fd00:5::/52"), subnet: parsePrefix("fd00:5:0:3::/64") },
];

function chain(fields: Partial<ForwardChain>): ForwardChain {
  const jumps = new Set<string>();
  return {
    family: "ip",
    table: "filter",
    chain: "FORWARD",
    drops: false,
    locked: false,
    jumps,
    ours: [],
    ...fields,
  };
}

function accepts(chains: readonly ForwardChain[], forward = true): string[] {
  return planForwardAccepts({ networks, forward }, "loden", chains).map(
    ({ dropping, into, rules }) =>
      `${dropping.family} ${dropping.chain} in ${into.chain}: ${rules.map((rule) => formatRule(into.family, rule)).join("; ")}`,
  );
}

const dockerUser = chain({ chain: "DOCKER-USER" });

describe("planForwardAccepts()", () => {
  test("planForwardAccepts() puts accepts into DOCKER-USER when the chain that drops jumps there", () => {
    expect(accepts([chain({ drops: true, jumps: new Set(["DOCKER-USER"]) }), dockerUser])).toEqual([
      'ip FORWARD in DOCKER-USER: ip saddr 10.5.0.0/16 accept comment "loden loden"; ip daddr 10.5.0.0/16 accept comment "loden loden"',
    ]);
  });

  test("planForwardAccepts() takes the chain itself when nothing leads to DOCKER-USER", () => {
    const only4 =
      'ip saddr 10.5.0.0/16 accept comment "loden loden"; ip daddr 10.5.0.0/16 accept comment "loden loden"';
    expect(accepts([chain({ drops: true }), dockerUser])).toEqual([`ip FORWARD in FORWARD: ${only4}`]);
    const elsewhere = chain({ chain: "DOCKER-USER", table: "other" });
    const jumping = chain({ drops: true, jumps: new Set(["DOCKER-USER"]) });
    expect(accepts([jumping, elsewhere])).toEqual([`ip FORWARD in FORWARD: ${only4}`]);
  });

  test("planForwardAccepts() gives each family its networks", () => {
    const only6 =
      'ip6 saddr fd00:5::/52 accept comment "loden loden"; ip6 daddr fd00:5::/52 accept comment "loden loden"';
    expect(accepts([chain({ family: "ip6", drops: true })])).toEqual([`ip6 FORWARD in FORWARD: ${only6}`]);
    expect(accepts([chain({ family: "inet", chain: "f", drops: true })])[0]).toMatch(/ip saddr .* ip6 daddr/);
  });

  test("planForwardAccepts() plans nothing when nothing drops or forwarding is not asked for", () => {
    expect(accepts([chain({}), dockerUser])).toEqual([]);
    expect(accepts([chain({ drops: true })], false)).toEqual([]);
  });
});

test("planChanges() leaves a table that belongs to a running program alone", () => {
  const locked = chain({ drops: true, locked: true });
  const planned = planForwardAccepts({ networks, forward: true }, "loden", [locked]);
  expect(planned).toHaveLength(1);
  expect(planChanges({ tables: [] }, planned, { generation: 1, own: [], forward: [locked] })).toEqual([]);
});
