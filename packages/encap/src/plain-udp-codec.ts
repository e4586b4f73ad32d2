import type { EncapCodec } from "./encap-codec.ts";

/**
 * Creates the codec of flannel's UDP backend: the UDP payload is one bare IP packet, without any header.
 *
 * Every payload decodes, an empty one too: whether it is an IP packet is for the receiver to check.
 *
 * @returns a codec of overhead 0 for port 8285.
 */
export function createPlainUdpCodec(): EncapCodec {
  return {
    name: "udp",
    overhead: 0,
    defaultPort: 8285,
    encode: (_bytes, offset) => offset,
    decode: (_bytes, offset) => offset,
  };
}
