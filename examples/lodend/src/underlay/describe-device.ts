import { openRtnetlink } from "@loden/rtnetlink";
import { type Offloads, readOffloads } from "./read-offloads.ts";

/** What kind of interface joins the hosts, and what it does for the processor. */
export interface DeviceStatus {
  /** The driver's name as in `ip -details link`: `vlan`, `bond`, `bridge`, `veth`; `device` for hardware. */
  readonly kind: string;
  /** In bytes. */
  readonly mtu: number;
  readonly offloads: Offloads;
}

/**
 * Reads what an interface is like now.
 *
 * @param name its name.
 * @returns what it is like; `undefined` when there is none of that name.
 */
export async function describeDevice(name: string): Promise<DeviceStatus | undefined> {
  using rtnetlink = openRtnetlink();
  const link = await rtnetlink.links.get(name);
  return link && { kind: link.kind ?? "device", mtu: link.mtu, offloads: readOffloads(name) };
}
