import type { Address } from "@loden/ip";

/**
 * Writes an address and a port as text.
 *
 * @param address the address.
 * @param port the port.
 * @returns `10.0.0.1:8285` or `[fd00::1]:8285`.
 */
export function formatEndpoint(address: Address, port: number): string {
  const text = address.toString();
  return address.family === 4 ? `${text}:${port}` : `[${text}]:${port}`;
}
