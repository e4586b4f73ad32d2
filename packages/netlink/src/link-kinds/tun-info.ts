import type { SettingTable } from "./setting-codec.ts";

/** Settings of a TUN or TAP device (IFLA_TUN_*, linux/if_link.h). */
export interface TunInfo {
  /** 1 for TUN (packets), 2 for TAP (frames). */
  readonly type?: number | undefined;
  /** Whether each packet has the 4-byte packet information before it. */
  readonly packetInformation?: boolean | undefined;
  /** Whether each packet has a virtio header before it. */
  readonly virtioHeader?: boolean | undefined;
  /** Whether the device outlives its last file descriptor. */
  readonly persistent?: boolean | undefined;
  /** Whether several file descriptors may be queues of it. */
  readonly multiQueue?: boolean | undefined;
}

/** The attributes of {@link TunInfo}. */
export const tunSettings: SettingTable<TunInfo> = [
  ["type", "u8", 3],
  ["packetInformation", "boolean", 4],
  ["virtioHeader", "boolean", 5],
  ["persistent", "boolean", 6],
  ["multiQueue", "boolean", 7],
];
