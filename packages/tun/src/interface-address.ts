import { isIPv4, isIPv6 } from "node:net";

/** An address that a device is to have, with the length of its network's prefix. */
export interface InterfaceAddress {
  /** 4 or 16 bytes in network order. */
  readonly bytes: Uint8Array;
  /** 0 to 32 or 128. */
  readonly prefixLength: number;
}

/**
 * Reads an address with a prefix length, as `ip addr add` takes it.
 *
 * @param text `10.0.0.1/24` for IPv4, `fd00::1/64` for IPv6.
 * @param family which one is expected.
 * @returns the address and the length.
 * @throws {SyntaxError} when it is not that.
 */
export function parseInterfaceAddress(text: string, family: 4 | 6): InterfaceAddress {
  const [, address = "", length = ""] = /^([^/]*)\/(0|[1-9]\d{0,2})$/.exec(text) ?? [];
  const prefixLength = Number(length);
  const valid =
    family === 4 ? isIPv4(address) && prefixLength <= 32 : isPlainIPv6(address) && prefixLength <= 128;
  if (!valid) {
    const expected = family === 4 ? "10.0.0.1/24" : "fd00::1/64";
    throw new SyntaxError(
      `Cannot set an IPv${family} address: "${text}" is none, expected one such as ${expected}`,
    );
  }
  const bytes = family === 4 ? Uint8Array.from(address.split("."), Number) : parseIPv6(address);
  return { bytes, prefixLength };
}

/**
 * Writes a prefix length as an IPv4 netmask.
 *
 * @param prefixLength 0 to 32.
 * @returns 4 bytes in network order.
 */
export function netmask(prefixLength: number): Uint8Array {
  const mask = prefixLength === 0 ? 0 : -1 << (32 - prefixLength);
  return Uint8Array.of(mask >>> 24, mask >>> 16, mask >>> 8, mask);
}

function isPlainIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes("%");
}

function parseIPv6(text: string): Uint8Array {
  const [head = "", tail] = withoutDots(text).split("::");
  const before = groups(head);
  const after = groups(tail ?? "");
  const between = Array.from({ length: 8 - before.length - after.length }, () => 0);
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  [...before, ...between, ...after].forEach((group, i) => view.setUint16(i * 2, group));
  return bytes;
}

function groups(text: string): number[] {
  return text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
}

// ::ffff:10.0.0.1 -> ::ffff:a00:1
function withoutDots(text: string): string {
  return text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...parts: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = parts.slice(0, 4).map(Number);
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
}
