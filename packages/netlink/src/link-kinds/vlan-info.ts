import type { SettingTable } from "./setting-codec.ts";

/** Settings of a VLAN device (IFLA_VLAN_*, linux/if_link.h). */
export interface VlanInfo {
  /** VLAN identifier, 0-4094. */
  readonly id?: number | undefined;
  /** EtherType of the tag: 0x8100 (802.1Q) or 0x88a8 (802.1ad). */
  readonly protocol?: number | undefined;
}

/** The attributes of {@link VlanInfo}. */
export const vlanSettings: SettingTable<VlanInfo> = [
  ["id", "u16", 1],
  ["protocol", "port", 5],
];
