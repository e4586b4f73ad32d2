import type { Netns } from "@loden/netns";
import { readFileSync } from "node:fs";

/** Names of the tables that iptables-legacy has in a namespace, one a line; there only where the kernel knows it. */
const FILES: readonly string[] = ["ip_tables_names", "ip6_tables_names"];

/**
 * Names the tables of iptables-legacy, whose rules nf_tables cannot see.
 *
 * @param netns Where; without one, in the namespace of the calling thread.
 * @returns Such as `filter`; none where only iptables-nft, or nothing, is in use.
 */
export function legacyTables(netns: Netns | undefined): string[] {
  const read = (): string[] => FILES.flatMap(linesOf);
  return [...new Set(netns ? netns.run(read) : read())].toSorted();
}

function linesOf(file: string): string[] {
  try {
    // Of the thread: /proc/self is the main thread, which may be elsewhere.
    return readFileSync(`/proc/thread-self/net/${file}`, "utf8")
      .split("\n")
      .filter((line) => line !== "");
  } catch {
    return [];
  }
}
