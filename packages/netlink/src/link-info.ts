import type { Attribute } from "./attribute.ts";
import { numberOf, textOf, visitAttributes, writeAttributes } from "./attribute.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { decodeLink, type LinkMessage, writeLink } from "./link-message.ts";

/**
 * What kind of device a link is and the settings of that kind (IFLA_LINKINFO, linux/if_link.h). At most one of `peer`,
 * `bridge`, `tun` is there, that of its kind.
 */
export interface LinkInfo {
  /** Driver name: `veth`, `bridge`, `tun`, `vxlan`, ... */
  readonly kind: string;
  /** `veth`, in a request: the other end, with its name and perhaps its namespace. The kernel never sends it. */
  readonly peer?: LinkMessage | undefined;
  /** `bridge`: its settings. */
  readonly bridge?: BridgeInfo | undefined;
  /** `tun`: its settings, which the kernel sends but does not take. */
  readonly tun?: TunInfo | undefined;
  /** Settings of the kind that have no field here, verbatim; for other kinds (vxlan) all of them. */
  readonly data?: readonly Attribute[] | undefined;
}

/** Settings of a bridge (IFLA_BR_*). */
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

/** Settings of a TUN or TAP device (IFLA_TUN_*). */
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

/** Writes the attributes inside IFLA_LINKINFO. */
export function writeLinkInfo(writer: ByteWriter, info: LinkInfo): void {
  const { kind, peer, bridge, tun, data } = info;
  writer.attributeText(1, kind);
  if (!peer && !bridge && !tun && !data) return;
  writer.nest(2, () => {
    // struct ifinfomsg stands before the attributes here, so the value is not marked as nested.
    if (peer) writer.nest(1, () => writeLink(writer, peer), 0);
    if (bridge) writeBridge(writer, bridge);
    if (tun) writeTun(writer, tun);
    if (data) writeAttributes(writer, data);
  });
}

/** Reads the attributes inside IFLA_LINKINFO. */
export function decodeLinkInfo(bytes: Uint8Array): LinkInfo {
  let kind = "";
  let raw: Uint8Array | undefined;
  visitAttributes(bytes, 0, (type, value) => {
    if (type === 1) kind = textOf(value);
    else if (type === 2) raw = value;
  });
  return raw === undefined ? { kind } : { kind, ...decodeData(kind, raw) };
}

function decodeData(kind: string, bytes: Uint8Array): Omit<LinkInfo, "kind"> {
  const data: Attribute[] = [];
  const keep = (type: number, value: Uint8Array, flags: number): number => data.push({ type, value, flags });
  const rest = (): Pick<LinkInfo, "data"> => (data.length > 0 ? { data } : {});
  switch (kind) {
    case "veth": {
      let peer: LinkMessage | undefined;
      visitAttributes(bytes, 0, (type, value, flags) => {
        if (type === 1) peer = decodeLink(value);
        else keep(type, value, flags);
      });
      return { ...(peer && { peer }), ...rest() };
    }
    case "bridge":
      return { bridge: decodeBridge(bytes, keep), ...rest() };
    case "tun":
      return { tun: decodeTun(bytes, keep), ...rest() };
    default:
      visitAttributes(bytes, 0, keep);
      return rest();
  }
}

type Keep = (type: number, value: Uint8Array, flags: number) => unknown;
type Writable<T> = { -readonly [K in keyof T]: T[K] };

function writeBridge(writer: ByteWriter, bridge: BridgeInfo): void {
  if (bridge.forwardDelay !== undefined) writer.attributeU32(1, bridge.forwardDelay);
  if (bridge.ageingTime !== undefined) writer.attributeU32(4, bridge.ageingTime);
  if (bridge.stpState !== undefined) writer.attributeU32(5, bridge.stpState);
  if (bridge.vlanFiltering !== undefined) writer.attributeU8(7, Number(bridge.vlanFiltering));
}

function decodeBridge(bytes: Uint8Array, keep: Keep): BridgeInfo {
  const bridge: Writable<BridgeInfo> = {};
  visitAttributes(bytes, 0, (type, value, flags) => {
    if (type === 1) bridge.forwardDelay = numberOf(value);
    else if (type === 4) bridge.ageingTime = numberOf(value);
    else if (type === 5) bridge.stpState = numberOf(value);
    else if (type === 7) bridge.vlanFiltering = numberOf(value) !== 0;
    else keep(type, value, flags);
  });
  return bridge;
}

function writeTun(writer: ByteWriter, tun: TunInfo): void {
  if (tun.type !== undefined) writer.attributeU8(3, tun.type);
  if (tun.packetInformation !== undefined) writer.attributeU8(4, Number(tun.packetInformation));
  if (tun.virtioHeader !== undefined) writer.attributeU8(5, Number(tun.virtioHeader));
  if (tun.persistent !== undefined) writer.attributeU8(6, Number(tun.persistent));
  if (tun.multiQueue !== undefined) writer.attributeU8(7, Number(tun.multiQueue));
}

function decodeTun(bytes: Uint8Array, keep: Keep): TunInfo {
  const tun: Writable<TunInfo> = {};
  visitAttributes(bytes, 0, (type, value, flags) => {
    if (type === 3) tun.type = numberOf(value);
    else if (type === 4) tun.packetInformation = numberOf(value) !== 0;
    else if (type === 5) tun.virtioHeader = numberOf(value) !== 0;
    else if (type === 6) tun.persistent = numberOf(value) !== 0;
    else if (type === 7) tun.multiQueue = numberOf(value) !== 0;
    else keep(type, value, flags);
  });
  return tun;
}
