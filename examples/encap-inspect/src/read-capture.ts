/** One captured frame. */
export interface CapturedFrame {
  /** The link layer's type, as in pcap: 1 Ethernet, 101 raw IP, 113 and 276 Linux cooked. */
  readonly linkType: number;
  /** The frame's bytes; a view of the file. */
  readonly bytes: Uint8Array;
}

/**
 * Reads the frames of a capture file: pcap in either byte order (microseconds or nanoseconds), or pcapng.
 *
 * @param file the whole file.
 * @returns the frames, in order. A last frame that is cut off is left out.
 * @throws {SyntaxError} when the file is neither.
 */
export function readCapture(file: Uint8Array): CapturedFrame[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const magic = file.length >= 24 ? view.getUint32(0, true) : 0;
  if (magic === 0xa1b2c3d4 || magic === 0xa1b23c4d) return readPcap(file, view, true);
  if (magic === 0xd4c3b2a1 || magic === 0x4d3cb2a1) return readPcap(file, view, false);
  if (magic === 0x0a0d0d0a) return readPcapng(file, view);
  throw new SyntaxError(
    `Cannot read the capture: it begins with 0x${magic.toString(16)}, expected a pcap or pcapng file`,
  );
}

function readPcap(file: Uint8Array, view: DataView, littleEndian: boolean): CapturedFrame[] {
  const linkType = view.getUint32(20, littleEndian) & 0xffff;
  const frames: CapturedFrame[] = [];
  for (let at = 24; at + 16 <= file.length;) {
    const length = view.getUint32(at + 8, littleEndian);
    const start = at + 16;
    if (start + length > file.length) break;
    frames.push({ linkType, bytes: file.subarray(start, start + length) });
    at = start + length;
  }
  return frames;
}

// Blocks: section header 0x0a0d0d0a, interface description 1, enhanced packet 6; others are passed over.
function readPcapng(file: Uint8Array, view: DataView): CapturedFrame[] {
  const frames: CapturedFrame[] = [];
  let linkTypes: number[] = [];
  let littleEndian = true;
  for (let at = 0; at + 12 <= file.length;) {
    const isSection = view.getUint32(at, true) === 0x0a0d0d0a;
    if (isSection) {
      littleEndian = view.getUint32(at + 8, true) === 0x1a2b3c4d;
      linkTypes = [];
    }
    const type = view.getUint32(at, littleEndian);
    const length = view.getUint32(at + 4, littleEndian);
    if (length < 12 || at + length > file.length) break;
    if (type === 1) linkTypes.push(view.getUint16(at + 8, littleEndian));
    if (type === 6 && length >= 32) {
      const captured = Math.min(view.getUint32(at + 20, littleEndian), length - 32);
      const linkType = linkTypes[view.getUint32(at + 8, littleEndian)] ?? 1;
      frames.push({ linkType, bytes: file.subarray(at + 28, at + 28 + captured) });
    }
    at += length;
  }
  return frames;
}
