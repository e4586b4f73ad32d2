import { EtcdStatusError, GrpcStatus } from "../etcd-errors.ts";

/** Longest message that is taken, in bytes. */
const maxMessageBytes = 64 * 1024 * 1024;
const prefixBytes = 5;

/**
 * Puts gRPC's prefix before a message: a byte that says it is not compressed, and its length.
 *
 * Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 *
 * @param message - what to send
 * @returns what goes into the stream
 */
export function frameMessage(message: Uint8Array): Uint8Array {
  const frame = Buffer.alloc(prefixBytes + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, prefixBytes);
  return frame;
}

/** Finds the messages in the pieces of a stream. */
export class MessageFrames {
  #pieces: Uint8Array[] = [];
  #size = 0;

  /**
   * Takes the next piece.
   *
   * @param piece - not changed by anybody afterwards
   * @returns the messages that are whole now
   * @throws {EtcdStatusError} when a message is compressed, which nobody asked for, or too long
   */
  *push(piece: Uint8Array): Generator<Uint8Array, void, undefined> {
    this.#pieces.push(piece);
    this.#size += piece.length;
    for (;;) {
      const length = this.#nextLength();
      if (length === undefined || this.#size < prefixBytes + length) return;
      const all = this.#join();
      const end = prefixBytes + length;
      this.#pieces = end < all.length ? [all.subarray(end)] : [];
      this.#size -= end;
      yield all.subarray(prefixBytes, end);
    }
  }

  /** Whether a message is only partly there. */
  get isInside(): boolean {
    return this.#size > 0;
  }

  #nextLength(): number | undefined {
    if (this.#size < prefixBytes) return undefined;
    const [first] = this.#pieces;
    // Joined only while the prefix itself is in pieces.
    const start = first !== undefined && first.length >= prefixBytes ? first : this.#join();
    const length = Buffer.from(start.buffer, start.byteOffset, prefixBytes).readUInt32BE(1);
    if (start[0] !== 0) {
      throw new EtcdStatusError(GrpcStatus.internal, "the member sent a compressed message");
    }
    if (length > maxMessageBytes) {
      throw new EtcdStatusError(
        GrpcStatus.resourceExhausted,
        `the member sent a message of ${length} bytes, expected at most ${maxMessageBytes}`,
      );
    }
    return length;
  }

  #join(): Uint8Array {
    const [first] = this.#pieces;
    const all = this.#pieces.length === 1 && first !== undefined ? first : Buffer.concat(this.#pieces);
    this.#pieces = [all];
    return all;
  }
}
