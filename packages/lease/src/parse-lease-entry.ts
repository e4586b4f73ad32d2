import type { Subnet } from "@loden/subnet";
import { publishDiagnostic } from "./diagnostics.ts";
import type { LeaseAttributes } from "./lease.ts";
import { parseLeaseValue } from "./lease-value.ts";
import { parseSubnetKey } from "./subnet-key.ts";

/** What a key and its value say together. */
export interface LeaseEntry {
  /** From the key. */
  readonly subnet: Subnet;
  /** From the value. */
  readonly attributes: LeaseAttributes;
}

/**
 * Reads one entry of a store that holds flannel's text, where other programs write too. Never throws: what cannot be
 * read is published on "loden:lease" as `entry-skipped` and left out. In flannel up to 0.28.9 one such entry withdraws
 * every peer.
 *
 * @param key - The key, with or without folders before it.
 * @param value - The JSON text.
 * @returns The entry, or `undefined` when it cannot be read.
 */
export function parseLeaseEntry(key: string, value: string): LeaseEntry | undefined {
  const subnet = parseSubnetKey(key);
  if (subnet === undefined) {
    publishDiagnostic({ type: "entry-skipped", key, value, reason: "the key names no subnet" });
    return undefined;
  }
  try {
    return { subnet, attributes: parseLeaseValue(value) };
  } catch (error) {
    publishDiagnostic({ type: "entry-skipped", key, value, reason: (error as Error).message });
    return undefined;
  }
}
