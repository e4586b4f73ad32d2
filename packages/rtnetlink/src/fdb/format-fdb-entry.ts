import type { NewFdbEntry } from "./fdb-entry.ts";

/**
 * Writes an entry of a forwarding table in the words of `bridge fdb`, so that `bridge fdb add TEXT` adds the same one.
 *
 * @param entry The entry.
 * @returns For example `02:00:00:00:00:01 dev loden.1 dst 192.0.2.1 self permanent`.
 */
export function formatFdbEntry(entry: NewFdbEntry): string {
  const { mac, link, destination, vlan, port, vni, via, table = "self", state = "permanent" } = entry;
  const words = [mac, "dev", link];
  if (destination) words.push("dst", destination.toString());
  if (vlan !== undefined) words.push("vlan", String(vlan));
  if (port !== undefined) words.push("port", String(port));
  if (vni !== undefined) words.push("vni", String(vni));
  if (via !== undefined) words.push("via", via);
  words.push(table, state);
  return words.join(" ");
}
