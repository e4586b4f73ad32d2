import type { SettingTable } from "./setting-codec.ts";

/** Settings of a bridge (IFLA_BR_*, linux/if_link.h). */
export interface BridgeInfo {
  /** Time in the listening and learning states, in hundredths of a second. */
  readonly forwardDelay?: number | undefined;
  /** How long a learnt MAC address stays, in hundredths of a second. */
  readonly ageingTime?: number | undefined;
  /** 0 no spanning tree protocol, 1 in the kernel, 2 in user space. */
  readonly stpState?: number | undefined;
  /** Whether the bridge looks at VLAN tags. */
  readonly vlanFiltering?: boolean | undefined;
}

/** The attributes of {@link BridgeInfo}. */
export const bridgeSettings: SettingTable<BridgeInfo> = [
  ["forwardDelay", "u32", 1],
  ["ageingTime", "u32", 4],
  ["stpState", "u32", 5],
  ["vlanFiltering", "boolean", 7],
];
