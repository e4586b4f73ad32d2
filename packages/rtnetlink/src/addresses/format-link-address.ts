import type { NewAddress } from "./link-address.ts";

/**
 * Writes an address of a link in the words of `ip address`, so that `ip address add TEXT` adds the same one.
 *
 * @param address The address with its link.
 * @returns For example `10.5.34.0/32 dev loden.1`.
 */
export function formatLinkAddress(address: NewAddress): string {
  const { link, prefixLength, peer, broadcast, scope, duplicateDetection, prefixRoute } = address;
  const local = address.address.toString();
  const words = peer ? [local, "peer", `${peer.toString()}/${prefixLength}`] : [`${local}/${prefixLength}`];
  if (broadcast) words.push("broadcast", broadcast.toString());
  words.push("dev", link);
  if (scope !== undefined && scope !== "global") words.push("scope", scope);
  if (duplicateDetection === false) words.push("nodad");
  if (prefixRoute === false) words.push("noprefixroute");
  return words.join(" ");
}
