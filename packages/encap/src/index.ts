/**
 * UDP encapsulation codecs: flannel's plain UDP and VXLAN. Pure and portable: bytes in, bytes out, in Node, Deno, Bun and
 * browsers.
 *
 * An {@link EncapCodec} works in place, for packet paths; {@link encodeVxlan} and {@link decodeVxlan} work on single
 * datagrams, for tools.
 *
 * ```ts
 * import { decodeVxlan, encodeVxlan } from "@loden/encap";
 *
 * const payload = encodeVxlan(Uint8Array.of(1, 2, 3), { vni: 42 });
 * const { vni, frame } = decodeVxlan(payload); // 42, [1, 2, 3]
 * ```
 *
 * @module
 */
export { DecodeError, type EncapCodec } from "./encap-codec.ts";
export { createPlainUdpCodec } from "./plain-udp-codec.ts";
export { decodeVxlan, encodeVxlan, type VxlanDatagram } from "./vxlan.ts";
export { createVxlanCodec } from "./vxlan-codec.ts";
