import { randomBytes } from "node:crypto";

/**
 * Reads a hardware address in any of the forms that Go's `net.ParseMAC` takes, as flannel's readers do: `02:00:5e:10:00:01`,
 * `02-00-5e-10-00-01` or `0200.5e10.0001`, in any case.
 *
 * @param text the address.
 * @returns it in the form of `ip`: lower case, with colons.
 * @throws {SyntaxError} when it is none of these, or has 8 or 20 bytes (EUI-64, InfiniBand), which Go takes and Ethernet does not.
 */
export function parseHardwareAddress(text: string): string {
  if (!forms.some((form) => form.test(text))) {
    throw new SyntaxError(
      `Cannot parse hardware address: it is ${JSON.stringify(text)}, expected 6 bytes such as "02:00:5e:10:00:01"`,
    );
  }
  return colonForm(text.replaceAll(/[^\da-f]/gi, "").toLowerCase());
}

const forms = [
  /^[\da-f]{2}(?::[\da-f]{2}){5}$/i,
  /^[\da-f]{2}(?:-[\da-f]{2}){5}$/i,
  /^[\da-f]{4}(?:\.[\da-f]{4}){2}$/i,
];

/**
 * Makes up a hardware address for a device of this host: the local bit is set, so that it is nobody's by purchase, and the multicast bit clear.
 *
 * @param random gives so many random bytes.
 * @returns such as `c6:d2:32:6f:8f:44`.
 */
export function randomHardwareAddress(random: (count: number) => Uint8Array = randomBytes): string {
  const bytes = Uint8Array.from(random(6));
  bytes[0] = ((bytes[0] ?? 0) | LOCAL) & ~MULTICAST;
  return colonForm(Buffer.from(bytes).toString("hex"));
}

/**
 * Whether frames can be sent to one device by this address: it is not a multicast one, and not zero.
 *
 * @param mac in the form of `ip`.
 */
export function isUnicast(mac: string): boolean {
  return (Number.parseInt(mac.slice(0, 2), 16) & MULTICAST) === 0 && mac !== "00:00:00:00:00:00";
}

/** Bits of the first byte (IEEE 802). */
const MULTICAST = 1;
const LOCAL = 2;

function colonForm(digits: string): string {
  return (digits.match(/../g) ?? []).join(":");
}
