import { Address } from "@loden/ip";
import type { KindSettings, Link, LinkSettings } from "@loden/rtnetlink";
import type { DesiredLink } from "../desired-state.ts";

/**
 * What has to be done to a link so that it is as desired.
 *
 * @param desired The link to have; what it leaves out is not compared.
 * @param current The link of that name.
 * @returns `same`, `recreate` where it is another device, else the settings to change in place.
 */
export function linkDifference(desired: DesiredLink, current: Link): "same" | "recreate" | LinkSettings {
  if (desired.kind !== undefined && isOtherDevice(desired, current)) return "recreate";
  const { mtu, mac, up = true, master, addrGenMode } = desired;
  const settings: LinkSettings = {
    ...(mtu !== undefined && mtu !== current.mtu && { mtu }),
    ...(mac !== undefined && mac.toLowerCase() !== current.mac && { mac }),
    ...(up !== current.up && { up }),
    ...(master !== undefined && master !== current.master && { master }),
    // A link of a small MTU has no IPv6 and so no mode.
    ...(addrGenMode !== undefined &&
      current.addrGenMode !== undefined &&
      addrGenMode !== current.addrGenMode && { addrGenMode }),
  };
  return Object.keys(settings).length === 0 ? "same" : settings;
}

function isOtherDevice(desired: DesiredLink, current: Link): boolean {
  if (desired.kind !== current.kind) return true;
  if (desired.lower !== undefined && desired.lower !== current.lower) return true;
  const kind = settingKinds.find((known) => known === desired.kind);
  return kind !== undefined && !fits(desired[kind] ?? {}, current[kind] ?? {});
}

const settingKinds = ["vxlan", "bridge", "vlan", "bond"] as const satisfies readonly (keyof KindSettings)[];

function fits(desired: object, current: object): boolean {
  const listed = new Map<string, unknown>(Object.entries(current));
  return Object.entries(desired).every(
    ([name, value]) => value === undefined || sameValue(value, listed.get(name)),
  );
}

/** A flag that is off is not listed. */
function sameValue(desired: unknown, current: unknown): boolean {
  if (desired instanceof Address) return current instanceof Address && desired.equals(current);
  return desired === (current ?? (typeof desired === "boolean" ? false : undefined));
}
