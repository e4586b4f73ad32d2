/** Type bit of an attribute whose value is attributes again (NLA_F_NESTED, linux/netlink.h). */
const NESTED = 0x8000;

/** Room for most batches of messages; a writer that needs more grows its own. */
const SCRATCH_BYTES = 8_192;

/** A buffer to write into, handed from one finished writer to the next: making one costs more than filling it. */
let scratch: DataView<ArrayBuffer> | undefined;

/**
 * Grows a byte array while attributes are written into it: numbers in host order (little-endian), each attribute
 * padded to 4 bytes. Internal to the codec; encoders return {@link ByteWriter.finish}.
 */
export class ByteWriter {
  #view: DataView<ArrayBuffer>;
  #bytes: Uint8Array<ArrayBuffer>;
  #length = 0;

  constructor() {
    this.#view = scratch ?? new DataView(new ArrayBuffer(SCRATCH_BYTES));
    this.#bytes = new Uint8Array(this.#view.buffer);
    scratch = undefined;
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#view.setUint8(this.#length, value);
    this.#length += 1;
  }

  u16(value: number): void {
    this.#reserve(2);
    this.#view.setUint16(this.#length, value, true);
    this.#length += 2;
  }

  u32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /** Writes an attribute with raw bytes as its value. */
  attribute(type: number, value: Uint8Array): void {
    this.u16(value.length + 4);
    this.u16(type);
    this.bytes(value);
    this.pad();
  }

  attributeU8(type: number, value: number): void {
    this.u16(5);
    this.u16(type);
    this.u8(value);
    this.pad();
  }

  attributeU16(type: number, value: number): void {
    this.u16(6);
    this.u16(type);
    this.u16(value);
    this.pad();
  }

  attributeU32(type: number, value: number): void {
    this.u16(8);
    this.u16(type);
    this.u32(value);
  }

  /** Writes text with its terminating zero byte, as the kernel's NLA_NUL_STRING wants. */
  attributeText(type: number, value: string): void {
    const text = new TextEncoder().encode(value);
    this.u16(text.length + 5);
    this.u16(type);
    this.bytes(text);
    this.u8(0);
    this.pad();
  }

  /** Writes an attribute whose value `body` writes; marked as nested unless `flags` says otherwise. */
  nest(type: number, body: () => void, flags: number = NESTED): void {
    const start = this.#length;
    this.u16(0);
    this.u16(type | flags);
    body();
    this.setLength(start, 2);
    this.pad();
  }

  /** Fills a length field of `width` bytes at `start` with the number of bytes written since `start`. */
  setLength(start: number, width: 2 | 4): void {
    const length = this.#length - start;
    if (width === 4) this.#view.setUint32(start, length, true);
    else if (length <= 0xffff) this.#view.setUint16(start, length, true);
    else throw new RangeError(`Cannot encode netlink attribute: ${length} bytes, expected at most 65535`);
  }

  /** Pads with zero bytes to a multiple of 4. */
  pad(): void {
    const padding = -this.#length & 3;
    if (padding === 0) return;
    this.#reserve(padding);
    this.#bytes.fill(0, this.#length, this.#length + padding);
    this.#length += padding;
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** Hands the bytes over; the writer must not be used again. */
  finish(): Uint8Array {
    scratch = this.#view;
    return this.#bytes.slice(0, this.#length);
  }

  #reserve(count: number): void {
    const need = this.#length + count;
    if (need <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(need, this.#bytes.length * 2));
    grown.set(this.#bytes);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}
