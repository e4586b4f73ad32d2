import { RecordField } from "./layout.ts";
import { type PacketAddress, readIpv6, writeIpv6 } from "./packet-address.ts";
import type { Peer } from "./peer-table.ts";

const afInet = 2;
const afInet6 = 10;

/** Writes a record at an offset; no reader may know it yet. `generation` tells records of one place apart. */
export function writePeerRecord(view: DataView, at: number, peer: Peer, generation: number): void {
  const { network, endpointAddress } = peer;
  const put = (field: keyof typeof RecordField, value: number): void =>
    view.setUint32(at + RecordField[field], value, true);
  put("flags", 1);
  put("family", typeof network === "number" ? 4 : 6);
  put("prefixLength", peer.prefixLength);
  put("pathMtu", peer.pathMtu ?? 0);
  put("generation", generation);
  if (typeof network === "number") put("network", network);
  else writeIpv6(view, at + RecordField.network6, network);

  const sockaddr = at + RecordField.sockaddr;
  const isIpv4 = typeof endpointAddress === "number";
  put("sockaddrLength", isIpv4 ? 16 : 28);
  for (let byte = 0; byte < 28; byte += 4) view.setUint32(sockaddr + byte, 0);
  view.setUint16(sockaddr, isIpv4 ? afInet : afInet6, true);
  view.setUint16(sockaddr + 2, peer.endpointPort, false);
  if (isIpv4) view.setUint32(sockaddr + 4, endpointAddress, false);
  else writeIpv6(view, sockaddr + 8, endpointAddress);
}

/** Reads a whole record. */
export function readPeerRecord(view: DataView, at: number): Required<Peer> {
  return {
    network: recordNetwork(view, at),
    prefixLength: view.getUint32(at + RecordField.prefixLength, true),
    endpointAddress: recordEndpoint(view, at),
    endpointPort: view.getUint16(at + RecordField.sockaddr + 2, false),
    pathMtu: view.getUint32(at + RecordField.pathMtu, true),
  };
}

/** Reads the base of a record's subnet. */
export function recordNetwork(view: DataView, at: number): PacketAddress {
  if (view.getUint32(at + RecordField.family, true) === 6) return readIpv6(view, at + RecordField.network6);
  return view.getUint32(at + RecordField.network, true);
}

/** Reads a record's outer address. */
export function recordEndpoint(view: DataView, at: number): PacketAddress {
  return socketAddress(view, at + RecordField.sockaddr) ?? 0;
}

/** Reads the address of a `struct sockaddr_in` or `sockaddr_in6`; undefined for another family, and at offset 0: nobody. */
export function socketAddress(view: DataView, at: number): PacketAddress | undefined {
  const family = at === 0 ? 0 : view.getUint16(at, true);
  if (family === afInet) return view.getUint32(at + 4, false);
  return family === afInet6 ? readIpv6(view, at + 8) : undefined;
}
