import { spawnSync } from "node:child_process";
import type { Netns } from "@loden/netns";
import { openRtnetlink } from "@loden/rtnetlink";

/**
 * Everything that a daemon could leave in a namespace: links, addresses, neighbours and forwarding entries that somebody entered, routes and the nftables
 * ruleset, without counters, ages, handles and indexes.
 */
export async function dumpNetns(netns: Netns): Promise<unknown> {
  using rtnetlink = openRtnetlink({ netns });
  const links = await rtnetlink.links.list();
  const addresses = await rtnetlink.addresses.list();
  const neighbours = await rtnetlink.neighbours.list();
  const fdb = await rtnetlink.fdb.list();
  const routes = await rtnetlink.routes.list({ table: "all" });
  return JSON.parse(
    JSON.stringify({
      links: links.map((link) => without(link)),
      addresses: addresses.map((address) => without(address)),
      neighbours: neighbours.filter(({ state }) => state === "permanent").map((one) => without(one)),
      fdb: fdb.filter(({ state }) => state === "permanent").map((entry) => without(entry)),
      routes: routes.map((route) => without(route)),
      rules: nftRules(netns),
    }),
  );
}

function without(value: object): unknown {
  const volatile = new Set(["index", "linkIndex", "peerIndex", "tentative"]);
  return Object.fromEntries(Object.entries(value).filter(([name]) => !volatile.has(name)));
}

function nftRules(netns: Netns): string {
  const { stdout, error } = netns.run(() => spawnSync("nft", ["list", "ruleset"], { encoding: "utf8" }));
  if (error !== undefined) throw error;
  return stdout.replaceAll(/counter packets \d+ bytes \d+/g, "counter");
}
