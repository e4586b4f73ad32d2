import type { Attribute } from "./attribute.ts";
import { textOf, visitAttributes, writeAttributes } from "./attribute.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { type BondInfo, bondSettings } from "./link-kinds/bond-info.ts";
import { type BridgeInfo, bridgeSettings } from "./link-kinds/bridge-info.ts";
import { readSettings, type SettingTable, writeSettings } from "./link-kinds/setting-codec.ts";
import { type TunInfo, tunSettings } from "./link-kinds/tun-info.ts";
import { type VlanInfo, vlanSettings } from "./link-kinds/vlan-info.ts";
import { type VxlanInfo, vxlanSettings } from "./link-kinds/vxlan-info.ts";
import { decodeLink, type LinkMessage, writeLink } from "./link-message.ts";

/**
 * What kind of device a link is and the settings of that kind (IFLA_LINKINFO, linux/if_link.h). Of the settings at most
 * those of the own kind are there.
 */
export interface LinkInfo {
  /** Driver name: `veth`, `bridge`, `tun`, `vxlan`, ... */
  readonly kind: string;
  /** `veth`, in a request: the other end, with its name and perhaps its namespace. The kernel never sends it. */
  readonly peer?: LinkMessage | undefined;
  /** `bridge`: its settings. */
  readonly bridge?: BridgeInfo | undefined;
  /** `vxlan`: its settings. */
  readonly vxlan?: VxlanInfo | undefined;
  /** `vlan`: its settings. */
  readonly vlan?: VlanInfo | undefined;
  /** `bond`: its settings. */
  readonly bond?: BondInfo | undefined;
  /** `tun`: its settings, which the kernel sends but does not take. */
  readonly tun?: TunInfo | undefined;
  /** Settings of the kind that have no field here, verbatim; for other kinds all of them. */
  readonly data?: readonly Attribute[] | undefined;
  /** Attributes beside the kind and its settings, verbatim: what it is as a port of a bridge or bond (IFLA_INFO_SLAVE_*). */
  readonly other?: readonly Attribute[] | undefined;
}

/** Writes the attributes inside IFLA_LINKINFO. */
export function writeLinkInfo(writer: ByteWriter, info: LinkInfo): void {
  const { kind, peer, data, other } = info;
  writer.attributeText(1, kind);
  const kinds = settingKinds.filter((name) => info[name] !== undefined);
  if (peer || data || kinds.length > 0)
    writer.nest(2, () => {
      // struct ifinfomsg stands before the attributes here, so the value is not marked as nested.
      if (peer) writer.nest(1, () => writeLink(writer, peer), 0);
      for (const name of kinds) writeSettings(writer, settingsOf[name] as SettingTable<object>, info[name]!);
      if (data) writeAttributes(writer, data);
    });
  if (other) writeAttributes(writer, other);
}

/** Reads the attributes inside IFLA_LINKINFO. */
export function decodeLinkInfo(bytes: Uint8Array): LinkInfo {
  let kind = "";
  let raw: Uint8Array | undefined;
  const other: Attribute[] = [];
  visitAttributes(bytes, 0, (type, value, flags) => {
    if (type === 1) kind = textOf(value);
    else if (type === 2) raw = value;
    else other.push({ type, value, flags });
  });
  return { kind, ...(raw && decodeData(kind, raw)), ...(other.length > 0 && { other }) };
}

function decodeData(kind: string, bytes: Uint8Array): Omit<LinkInfo, "kind"> {
  const data: Attribute[] = [];
  let peer: LinkMessage | undefined;
  const keep = (attribute: Attribute): void => {
    if (kind === "veth" && attribute.type === 1) peer = decodeLink(attribute.value);
    else data.push(attribute);
  };
  const name = settingKinds.find((known) => known === kind);
  const settings = readSettings(bytes, name ? (settingsOf[name] as SettingTable<object>) : [], keep);
  return {
    ...(name && { [name]: settings }),
    ...(peer && { peer }),
    ...(data.length > 0 && { data }),
  };
}

const settingsOf = {
  bridge: bridgeSettings,
  vxlan: vxlanSettings,
  vlan: vlanSettings,
  bond: bondSettings,
  tun: tunSettings,
};

const settingKinds = Object.keys(settingsOf) as (keyof typeof settingsOf)[];
