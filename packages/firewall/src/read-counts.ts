import { decodeNftRule, NftFamily, NftMessageType } from "@loden/netlink";
import type { FirewallCounts } from "./firewall.ts";
import type { NftablesConnection } from "./nftables-connection.ts";

/**
 * Reads what the rules of our tables have counted: only those against forgery count.
 *
 * @param connection The namespace's ruleset.
 * @param table Name of our tables.
 */
export function readCounts(connection: NftablesConnection, table: string): FirewallCounts {
  const rules = [NftFamily.inet, NftFamily.ip, NftFamily.ip6].flatMap((family) =>
    connection.dump(NftMessageType.getRule, { family, table }, (payload) => decodeNftRule(payload.slice())),
  );
  const forged = { packets: 0, bytes: 0 };
  for (const rule of rules) {
    // Kernels before 4.12 list more than was asked for.
    if (rule.table !== table) continue;
    for (const one of rule.expressions ?? []) {
      if (one.kind !== "counter") continue;
      forged.packets += Number(one.packets);
      forged.bytes += Number(one.bytes);
    }
  }
  return { forged };
}
