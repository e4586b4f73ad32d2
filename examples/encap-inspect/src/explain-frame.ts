import { createPlainUdpCodec, createVxlanCodec, decodeVxlan } from "@loden/encap";
import { addressFromNumber } from "@loden/ip";
import { parseIcmp, parseIpv4, parseTcp, parseUdp, type Ipv4Packet } from "@loden/packet";
import type { CapturedFrame } from "./read-capture.ts";

/** Which UDP ports carry what. */
export interface Ports {
  readonly plain: number;
  readonly vxlan: readonly number[];
}

/** The usual ports: flannel's 8285, the kernel's 8472 and the registered 4789. */
export const usualPorts: Ports = {
  plain: createPlainUdpCodec().defaultPort,
  vxlan: [createVxlanCodec({ vni: 1 }).defaultPort, 4789, 8472],
};

/** What {@link explainFrame} found. */
export type Explanation =
  | { readonly type: "packet"; readonly text: string }
  /** It goes to an encapsulation's port and does not decode. */
  | { readonly type: "broken"; readonly text: string }
  /** Something else. */
  | { readonly type: "other" };

/**
 * Explains a captured frame, if it carries an encapsulated packet.
 *
 * @param frame the frame.
 * @param ports which ports carry what.
 * @returns one line, or that it is something else.
 */
export function explainFrame(frame: CapturedFrame, ports: Ports = usualPorts): Explanation {
  const ip = ipOf(frame);
  if (ip === undefined) return { type: "other" };
  let outer: Ipv4Packet;
  try {
    outer = parseIpv4(ip);
    if (outer.protocol !== 17 || outer.fragmentOffset !== 0) return { type: "other" };
    const datagram = parseUdp(outer.payload);
    const isPlain = datagram.destinationPort === ports.plain;
    if (!isPlain && !ports.vxlan.includes(datagram.destinationPort)) return { type: "other" };
    const ends = `${address(outer.source)} -> ${address(outer.destination)}`;
    try {
      const text = isPlain ? `plain UDP  ${explainPacket(datagram.payload)}` : explainVxlan(datagram.payload);
      return { type: "packet", text: `${ends}  ${text}` };
    } catch (error) {
      return { type: "broken", text: `${ends}  ${(error as Error).message}` };
    }
  } catch {
    return { type: "other" };
  }
}

function explainVxlan(payload: Uint8Array): string {
  const { vni, frame } = decodeVxlan(payload);
  const inner = ipOf({ linkType: 1, bytes: frame });
  const what = inner === undefined ? `an Ethernet frame of ${frame.length} bytes` : explainPacket(inner);
  return `VXLAN ${vni}  ${what}`;
}

function explainPacket(bytes: Uint8Array): string {
  const packet = parseIpv4(bytes);
  return `${address(packet.source)} -> ${address(packet.destination)}  ${explainPayload(packet)}, TTL ${packet.ttl}`;
}

function explainPayload(packet: Ipv4Packet): string {
  if (packet.fragmentOffset > 0) return `fragment at ${packet.fragmentOffset}`;
  if (packet.protocol === 1) {
    const { type, code, sequence } = parseIcmp(packet.payload);
    if (type === 8) return `ICMP echo request ${sequence}`;
    return type === 0 ? `ICMP echo reply ${sequence}` : `ICMP type ${type} code ${code}`;
  }
  if (packet.protocol === 6) {
    const { sourcePort, destinationPort, payload } = parseTcp(packet.payload);
    return `TCP ${sourcePort} -> ${destinationPort}, ${payload.length} bytes`;
  }
  if (packet.protocol === 17 && !packet.moreFragments) {
    const { sourcePort, destinationPort, payload } = parseUdp(packet.payload);
    return `UDP ${sourcePort} -> ${destinationPort}, ${payload.length} bytes`;
  }
  return `protocol ${packet.protocol}, ${packet.payload.length} bytes`;
}

/** The IPv4 packet of a frame, or undefined when it carries something else. */
function ipOf({ linkType, bytes }: CapturedFrame): Uint8Array | undefined {
  const headers: Record<number, readonly [start: number, etherType: number]> = {
    1: [14, 12],
    113: [16, 14],
    276: [20, 0],
  };
  if (linkType === 101 || linkType === 228) return bytes;
  const header = headers[linkType];
  if (header === undefined || bytes.length < header[0]) return undefined;
  const etherType = ((bytes[header[1]] ?? 0) << 8) | (bytes[header[1] + 1] ?? 0);
  return etherType === 0x0800 ? bytes.subarray(header[0]) : undefined;
}

function address(value: number): string {
  return addressFromNumber(value).toString();
}
