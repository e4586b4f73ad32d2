import type { SettingTable } from "./setting-codec.ts";

/** Settings of a bond (IFLA_BOND_*, linux/if_link.h). */
export interface BondInfo {
  /** 0 round robin, 1 active-backup, 2 xor, 3 broadcast, 4 802.3ad, 5 and 6 adaptive load balancing. */
  readonly mode?: number | undefined;
  /** Index of the port that is in use, of a bond that uses one. */
  readonly activePort?: number | undefined;
  /** Milliseconds between two looks at the carrier of the ports; 0 is never. */
  readonly miimon?: number | undefined;
  /** What the port is chosen by: 0 layer 2, 1 layers 3 and 4, 2 layers 2 and 3, ... */
  readonly transmitHashPolicy?: number | undefined;
}

/** The attributes of {@link BondInfo}. */
export const bondSettings: SettingTable<BondInfo> = [
  ["mode", "u8", 1],
  ["activePort", "u32", 2],
  ["miimon", "u32", 3],
  ["transmitHashPolicy", "u8", 14],
];
