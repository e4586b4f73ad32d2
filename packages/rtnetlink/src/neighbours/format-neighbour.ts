import type { NewNeighbour } from "./neighbour.ts";

/**
 * Writes a neighbour in the words of `ip neighbour`, so that `ip neighbour add TEXT` enters the same one.
 *
 * @param neighbour The neighbour.
 * @returns For example `10.5.34.0 lladdr 02:00:00:00:00:01 dev loden.1 nud permanent`.
 */
export function formatNeighbour(neighbour: NewNeighbour): string {
  const { address, mac, link, state = "permanent", proxy } = neighbour;
  if (proxy) return `proxy ${address.toString()} dev ${link}`;
  const words = [address.toString()];
  if (mac !== undefined) words.push("lladdr", mac);
  words.push("dev", link, "nud", state.toLowerCase());
  return words.join(" ");
}
