/**
 * Reads one message in protobuf's wire format, member by member:
 *
 *     const reader = new ProtoReader(bytes);
 *     while (reader.next()) {
 *       if (reader.field === 1) name = reader.text();
 *       else reader.skip();
 *     }
 *
 * Whoever calls `next` reads the member that it found, or skips it. What is read as bytes is a view of the message.
 *
 * Source: https://protobuf.dev/programming-guides/encoding/
 */
export class ProtoReader {
  /** Number of the member that `next` found. */
  field = 0;
  readonly #bytes: Uint8Array;
  #type = 0;
  #at = 0;

  /** @param bytes - the message */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /**
   * Goes on to the next member.
   *
   * @returns whether there is one
   * @throws {RangeError} from here and all readers, if the message ends too early or is none
   */
  next(): boolean {
    if (this.#at >= this.#bytes.length) return false;
    const tag = this.#varint();
    this.field = tag >>> 3;
    this.#type = tag & 7;
    return true;
  }

  /** @returns a bool */
  bool(): boolean {
    return this.uint64() !== "0";
  }

  /** @returns an int64 as decimal text */
  int64(): string {
    return this.#integer(true);
  }

  /** @returns a uint64 as decimal text */
  uint64(): string {
    return this.#integer(false);
  }

  /** @returns bytes or a message */
  bytes(): Uint8Array {
    this.#expect(2);
    const length = this.#varint();
    const start = this.#at;
    this.#skip(length);
    return this.#bytes.subarray(start, this.#at);
  }

  /** @returns text */
  text(): string {
    const { buffer, byteOffset, length } = this.bytes();
    return Buffer.from(buffer, byteOffset, length).toString();
  }

  /** Leaves out the member, whatever it is. */
  skip(): void {
    if (this.#type === 0) this.uint64();
    else if (this.#type === 1) this.#skip(8);
    else if (this.#type === 2) this.bytes();
    else if (this.#type === 5) this.#skip(4);
    else throw new RangeError(`Cannot read message: wire type ${this.#type}, expected 0, 1, 2 or 5`);
  }

  /** Below 2^32: a tag or a length. */
  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80 && value < 2 ** 32) return value;
    }
    throw new RangeError("Cannot read message: a tag or length is too large, expected one below 2^32");
  }

  #integer(isSigned: boolean): string {
    this.#expect(0);
    // Seven bytes of seven bits are exact as a number, and nearly all there are.
    let low = 0;
    for (let shift = 0; shift < 49; shift += 7) {
      const byte = this.#byte();
      low += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return String(low);
    }
    let value = BigInt(low);
    for (let shift = 49n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return String(isSigned ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value));
    }
    throw new RangeError("Cannot read message: an integer has more than 10 bytes, expected at most 10");
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw endsEarly();
    return byte;
  }

  #skip(length: number): void {
    this.#at += length;
    if (this.#at > this.#bytes.length) throw endsEarly();
  }

  #expect(type: number): void {
    if (this.#type !== type) {
      throw new RangeError(
        `Cannot read message: member ${this.field} has wire type ${this.#type}, expected ${type}`,
      );
    }
  }
}

function endsEarly(): RangeError {
  return new RangeError("Cannot read message: it ends inside a member, expected all of it");
}
