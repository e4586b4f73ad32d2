import { parseAddress, Prefix } from "@loden/ip";
import { formatSubnet, sameSubnet, type Subnet } from "@loden/subnet";

/**
 * Writes the key under which flannel's etcd layout keeps the lease on a subnet: `10.5.52.0-24`, or
 * `10.12.13.0-24&fd00:12:13::-56` with both families. `parseSubnetKey` reads it back.
 *
 * @param subnet - The claimed slice; flannel has no key that is safe for others without an IPv4 part.
 * @returns The key, without any folder before it.
 * @throws {RangeError} when a flannel host could not read the key: no IPv4 part, a length outside 0-31 (IPv4) or 0-127
 *   (IPv6), or an IPv6 address whose text is not hexadecimal only
 */
export function formatSubnetKey(subnet: Subnet): string {
  const { ipv4, ipv6 } = subnet;
  if (ipv4 === undefined) {
    throw new RangeError(
      `Cannot format subnet key: "${formatSubnet(subnet)}" has no IPv4 part, expected one for flannel hosts`,
    );
  }
  const key = ipv6 === undefined ? keyPart(ipv4) : `${keyPart(ipv4)}&${keyPart(ipv6)}`;
  const read = parseSubnetKey(key);
  if (read === undefined || !sameSubnet(read, subnet)) {
    throw new RangeError(
      `Cannot format subnet key: flannel hosts cannot read "${key}", expected lengths of 0-31 (IPv4) and 0-127 (IPv6)`,
    );
  }
  return key;
}

/**
 * Reads a key as flannel does: only the tail counts, so a whole path may be passed. Host bits are cleared.
 *
 * @param text - Such as `10.5.52.0-24` or `/coreos.com/network/subnets/10.12.13.0-24&fd00:12:13::-56`.
 * @returns The subnet, or `undefined` when it is no such key: flannel rejects it too.
 */
export function parseSubnetKey(text: string): Subnet | undefined {
  const match = keyPattern.exec(text);
  if (match === null) return undefined;
  const [, address4 = "", length4 = "", address6, length6 = ""] = match;
  try {
    const ipv4 = keyPrefix(address4, length4, 4);
    if (address6 === undefined) return { ipv4 };
    const ipv6 = keyPrefix(address6, length6, 6);
    // flannel's empty IPv6 part.
    return ipv6.length === 0 && ipv6.address.isUnspecified ? { ipv4 } : { ipv4, ipv6 };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError) return undefined;
    throw error;
  }
}

const keyPattern = /(\d+\.\d+\.\d+\.\d+)-(\d+)(?:&([a-f\d:]+)-(\d+))?$/;

function keyPart(prefix: Prefix): string {
  return `${prefix.address.toString()}-${prefix.length}`;
}

function keyPrefix(address: string, length: string, family: 4 | 6): Prefix {
  // flannel reads the length into 5 and 7 bits, so the longest prefix of each family does not fit.
  const longest = family === 4 ? 31 : 127;
  if (Number(length) > longest) throw new RangeError(`longer than ${longest} bits`);
  return new Prefix(parseAddress(address, { family }), Number(length));
}
