/** Formats a link-layer address as `02:42:ac:11:00:02`. */
export function formatHardwareAddress(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += text === "" ? pairs[byte]! : `:${pairs[byte]!}`;
  return text;
}

/** Parses a link-layer address of 6 bytes; strict, two hexadecimal digits each. */
export function parseHardwareAddress(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text))
    throw new SyntaxError(
      `Cannot parse MAC address: "${text}", expected six pairs of hexadecimal digits, 02:00:00:00:00:01`,
    );
  return Uint8Array.from(text.split(":"), (pair) => Number.parseInt(pair, 16));
}

const pairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
