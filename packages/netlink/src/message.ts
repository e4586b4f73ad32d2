import { ByteWriter } from "./byte-writer.ts";

/**
 * One netlink message: the header (struct nlmsghdr) and what follows it.
 */
export interface NetlinkMessage {
  /** {@link MessageType} */
  readonly type: number;
  /** {@link MessageFlag} bits; some mean different things for get, new, delete and error messages. */
  readonly flags: number;
  /** Sequence number: an answer repeats that of its request; 0 in notifications. */
  readonly sequence: number;
  /** Address of the sending socket; 0 is the kernel. */
  readonly portId: number;
  /** Bytes after the 16-byte header, without padding. A decoded payload is a view: copy it to keep it. */
  readonly payload: Uint8Array;
}

/** Message types: the four of every netlink family, and those of NETLINK_ROUTE (linux/netlink.h, linux/rtnetlink.h). */
export const MessageType: {
  readonly noop: 1;
  readonly error: 2;
  readonly done: 3;
  readonly overrun: 4;
  readonly newLink: 16;
  readonly deleteLink: 17;
  readonly getLink: 18;
  readonly setLink: 19;
  readonly newAddress: 20;
  readonly deleteAddress: 21;
  readonly getAddress: 22;
  readonly newRoute: 24;
  readonly deleteRoute: 25;
  readonly getRoute: 26;
  readonly newNeighbour: 28;
  readonly deleteNeighbour: 29;
  readonly getNeighbour: 30;
  readonly newRule: 32;
  readonly deleteRule: 33;
  readonly getRule: 34;
} = {
  noop: 1,
  error: 2,
  done: 3,
  overrun: 4,
  newLink: 16,
  deleteLink: 17,
  getLink: 18,
  setLink: 19,
  newAddress: 20,
  deleteAddress: 21,
  getAddress: 22,
  newRoute: 24,
  deleteRoute: 25,
  getRoute: 26,
  newNeighbour: 28,
  deleteNeighbour: 29,
  getNeighbour: 30,
  newRule: 32,
  deleteRule: 33,
  getRule: 34,
};

/** Header flags (linux/netlink.h: NLM_F_*). Bits 0x100 and up depend on what kind of message carries them. */
export const MessageFlag: {
  /** Any message: it is a request. */
  readonly request: 0x1;
  /** Any message: one of several, ended by a done message. */
  readonly multipart: 0x2;
  /** Any request: answer with an error message even when all is well (errno 0). */
  readonly acknowledge: 0x4;
  /** Answer to a dump: the dump was interrupted by a change and may be inconsistent. */
  readonly dumpInterrupted: 0x10;
  /** Answer to a dump: the kernel filtered it as asked. */
  readonly dumpFiltered: 0x20;
  /** Get request: all entries (NLM_F_ROOT | NLM_F_MATCH). */
  readonly dump: 0x300;
  /** New request: replace what is there. */
  readonly replace: 0x100;
  /** New request: fail when it is there (EEXIST). */
  readonly exclusive: 0x200;
  /** New request: create what is not there. */
  readonly create: 0x400;
  /** New request: add at the end of the list. */
  readonly append: 0x800;
  /** Error message: the request is not repeated in full, only its header. */
  readonly capped: 0x100;
  /** Error or done message: attributes with the extended acknowledgement follow. */
  readonly extendedAck: 0x200;
} = {
  request: 0x1,
  multipart: 0x2,
  acknowledge: 0x4,
  dumpInterrupted: 0x10,
  dumpFiltered: 0x20,
  dump: 0x300,
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
  append: 0x800,
  capped: 0x100,
  extendedAck: 0x200,
};

/**
 * Writes messages one after another, each padded to 4 bytes, as one send takes them.
 *
 * @param messages Headers and payloads; lengths are computed.
 * @returns Fresh bytes in host order (little-endian).
 */
export function encodeMessages(messages: Iterable<NetlinkMessage>): Uint8Array {
  const writer = new ByteWriter();
  for (const message of messages) {
    const start = writer.length;
    writer.u32(0);
    writer.u16(message.type);
    writer.u16(message.flags);
    writer.u32(message.sequence);
    writer.u32(message.portId);
    writer.bytes(message.payload);
    writer.setLength(start, 4);
    writer.pad();
  }
  return writer.finish();
}

/**
 * Reads every message of one receive.
 *
 * @param bytes What a netlink socket delivered, in host order (little-endian).
 * @returns Messages in order; payloads are views into `bytes`.
 * @throws {RangeError} A message is shorter than its header or cut off, as when the receive buffer was too small.
 */
export function decodeMessages(bytes: Uint8Array): NetlinkMessage[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: NetlinkMessage[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const length = offset + 16 <= bytes.length ? view.getUint32(offset, true) : 0;
    if (length < 16 || offset + length > bytes.length)
      throw new RangeError(
        `Cannot decode netlink message: length ${length} at offset ${offset} of ${bytes.length} bytes, ` +
          `expected 16 or more and no more than the rest`,
      );
    messages.push({
      type: view.getUint16(offset + 4, true),
      flags: view.getUint16(offset + 6, true),
      sequence: view.getUint32(offset + 8, true),
      portId: view.getUint32(offset + 12, true),
      payload: bytes.subarray(offset + 16, offset + length),
    });
    offset += (length + 3) & ~3;
  }
  return messages;
}
