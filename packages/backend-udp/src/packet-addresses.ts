import { Address, addressFromNumber } from "@loden/ip";
import type { PacketAddress } from "@loden/packet";

/** Gives an address as `@loden/packet` takes it. */
export function packetAddress(address: Address): PacketAddress {
  return address.family === 4 ? address.toNumber() : address.value;
}

/** Writes such an address as text. */
export function formatPacketAddress(address: PacketAddress): string {
  return (typeof address === "number" ? addressFromNumber(address) : new Address(6, address)).toString();
}
