import { virtioBytes } from "./layout.ts";

/** `struct virtio_net_hdr` (include/uapi/linux/virtio_net.h): what is left to do on a packet. */
export interface VirtioHeader {
  /** Whether the checksum at `start + offset` is to be filled in; its place holds the sum of the pseudo header. */
  readonly needsChecksum: boolean;
  /** What a super-packet is cut into; `none` for a packet that is not to be cut. */
  readonly kind: "none" | "tcp4" | "tcp6" | "udp";
  /** Whether a TCP super-packet has CWR set, which only its first segment keeps. */
  readonly hasCwr: boolean;
  /** Length of all headers, in bytes. */
  readonly headerLength: number;
  /** Bytes of payload per segment. */
  readonly segmentSize: number;
  /** Where the checksum's stretch starts: at the TCP or UDP header. */
  readonly checksumStart: number;
  /** Where the checksum lies, from there. */
  readonly checksumOffset: number;
}

const kinds = { none: 0, tcp4: 1, tcp6: 4, udp: 5 } as const;
const needsChecksumBit = 1;
const ecnBit = 0x80;

/** Encodes a virtio header; all fields are zero by default. */
export function encodeVirtioHeader(header: Partial<VirtioHeader> = {}): Uint8Array {
  const bytes = new Uint8Array(virtioBytes);
  const view = new DataView(bytes.buffer);
  bytes[0] = header.needsChecksum === true ? needsChecksumBit : 0;
  bytes[1] = kinds[header.kind ?? "none"] | (header.hasCwr === true ? ecnBit : 0);
  view.setUint16(2, header.headerLength ?? 0, true);
  view.setUint16(4, header.segmentSize ?? 0, true);
  view.setUint16(6, header.checksumStart ?? 0, true);
  view.setUint16(8, header.checksumOffset ?? 0, true);
  return bytes;
}

/**
 * Decodes a virtio header.
 *
 * @param bytes at least 10 bytes.
 * @returns undefined for a kind of super-packet that nobody asked for.
 */
export function decodeVirtioHeader(bytes: Uint8Array): VirtioHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, virtioBytes);
  const number = view.getUint8(1) & ~ecnBit;
  const kind = (Object.keys(kinds) as (keyof typeof kinds)[]).find((name) => kinds[name] === number);
  if (kind === undefined) return undefined;
  return {
    needsChecksum: (view.getUint8(0) & needsChecksumBit) !== 0,
    kind,
    hasCwr: (view.getUint8(1) & ecnBit) !== 0,
    headerLength: view.getUint16(2, true),
    segmentSize: view.getUint16(4, true),
    checksumStart: view.getUint16(6, true),
    checksumOffset: view.getUint16(8, true),
  };
}
