import { DecodeError, type EncapCodec } from "./encap-codec.ts";
import { hasVni, readVni, requireVni, vxlanHeaderBytes, writeVxlanHeader } from "./vxlan-header.ts";

/**
 * Creates the codec of VXLAN (RFC 7348) for one network: an 8-byte header, then an Ethernet frame.
 *
 * @param options.vni network identifier, 0 to 16777215: written on encoding, demanded on decoding.
 * @returns a codec of overhead 8 for port 4789 (the kernel's and flannel's own default is 8472).
 * @throws {RangeError} for an identifier out of range.
 */
export function createVxlanCodec({ vni }: { readonly vni: number }): EncapCodec {
  requireVni(vni);
  return {
    name: "vxlan",
    overhead: vxlanHeaderBytes,
    defaultPort: 4789,
    encode(bytes, offset) {
      writeVxlanHeader(bytes, offset - vxlanHeaderBytes, vni);
      return offset - vxlanHeaderBytes;
    },
    decode(bytes, offset, length) {
      if (length < vxlanHeaderBytes) return DecodeError.tooShort;
      if (!hasVni(bytes, offset)) return DecodeError.missingFlag;
      return readVni(bytes, offset) === vni ? offset + vxlanHeaderBytes : DecodeError.otherNetwork;
    },
  };
}
