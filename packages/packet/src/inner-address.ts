import { type PacketAddress, readIpv6 } from "./packet-address.ts";
import type { PacketBatch } from "./packet-batch.ts";

const places = { source: { ipv4: 12, ipv6: 8 }, destination: { ipv4: 16, ipv6: 24 } } as const;

/** Reads an address in the header of packet `i`, which `checkPackets` let pass. */
export function innerAddress(
  { bytes, offsets, view }: PacketBatch,
  i: number,
  which: "source" | "destination",
): PacketAddress {
  const at = offsets[i] ?? 0;
  if ((bytes[at] ?? 0) >>> 4 === 6) return readIpv6(view, at + places[which].ipv6);
  return view.getUint32(at + places[which].ipv4, false);
}
