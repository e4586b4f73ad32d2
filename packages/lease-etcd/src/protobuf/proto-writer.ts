const varintType = 0;
const lengthType = 2;

/**
 * Writes one message in protobuf's wire format. As proto3 has it, members with the default value (zero, false, nothing) are left out; those of a
 * oneof are written whatever they are, so use `oneof…` for them.
 *
 * Source: https://protobuf.dev/programming-guides/encoding/
 */
export class ProtoWriter {
  readonly #bytes: number[] = [];
  readonly #parts: Uint8Array[] = [];
  #size = 0;

  /**
   * Writes an int64 or uint64.
   *
   * @param field - number of the member
   * @param value - decimal text, or a safe integer
   * @returns itself
   */
  int64(field: number, value: string | number | undefined): this {
    return value === undefined || BigInt(value) === 0n ? this : this.oneofInt64(field, value);
  }

  /**
   * Writes an int64 that may be zero.
   *
   * @param field - number of the member
   * @param value - decimal text, or a safe integer
   * @returns itself
   */
  oneofInt64(field: number, value: string | number): this {
    this.#tag(field, varintType);
    return this.#varint(BigInt.asUintN(64, BigInt(value)));
  }

  /**
   * Writes a bool or the number of an enum.
   *
   * @param field - number of the member
   * @param value - what to write
   * @returns itself
   */
  enum(field: number, value: number | boolean): this {
    if (Number(value) === 0) return this;
    this.#tag(field, varintType);
    return this.#varint(BigInt(Number(value)));
  }

  /**
   * Writes bytes or text.
   *
   * @param field - number of the member
   * @param value - what to write; text becomes UTF-8
   * @returns itself
   */
  bytes(field: number, value: Uint8Array | string | undefined): this {
    return value === undefined || value.length === 0 ? this : this.message(field, value);
  }

  /**
   * Writes a message that belongs to this one, empty or not.
   *
   * @param field - number of the member
   * @param value - the message, encoded
   * @returns itself
   */
  message(field: number, value: Uint8Array | string): this {
    const bytes = typeof value === "string" ? Buffer.from(value) : value;
    this.#tag(field, lengthType);
    this.#varint(BigInt(bytes.length));
    this.#flush();
    this.#parts.push(bytes);
    this.#size += bytes.length;
    return this;
  }

  /**
   * Writes a message for each of a list.
   *
   * @param field - number of the member
   * @param values - the list
   * @param encode - encodes one
   * @returns itself
   */
  repeated<Value>(field: number, values: readonly Value[], encode: (value: Value) => Uint8Array): this {
    for (const value of values) this.message(field, encode(value));
    return this;
  }

  /** @returns the message */
  finish(): Uint8Array {
    this.#flush();
    return Buffer.concat(this.#parts, this.#size);
  }

  #tag(field: number, type: number): void {
    this.#varint(BigInt(field * 8 + type));
  }

  #varint(value: bigint): this {
    let rest = value;
    for (; rest > 0x7fn; rest >>= 7n) this.#bytes.push(Number(rest & 0x7fn) | 0x80);
    this.#bytes.push(Number(rest));
    return this;
  }

  #flush(): void {
    const part = Uint8Array.from(this.#bytes.splice(0));
    this.#parts.push(part);
    this.#size += part.length;
  }
}
