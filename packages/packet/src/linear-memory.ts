/**
 * A shared `WebAssembly.Memory` of fixed size: the part of it that Loden uses.
 *
 * Declared here because the type of `WebAssembly` comes with the browser's library, which these packages don't load. A
 * `WebAssembly.Memory` made with `shared: true` can be used wherever this type is asked for.
 */
export interface LinearMemory {
  /** All bytes. The buffer never moves or grows: initial and maximum size are equal. */
  readonly buffer: SharedArrayBuffer;
}

interface MemoryConstructor {
  new (descriptor: { initial: number; maximum: number; shared: true }): LinearMemory;
}

const pageBytes = 65_536;

/**
 * Makes a shared WebAssembly memory of fixed size, all zero.
 *
 * The operating system gives it pages only as they are touched.
 *
 * @param byteLength least size in bytes; rounded up to whole pages of 65,536.
 * @returns the memory; it can be posted to workers, and its address is the same there.
 * @throws {RangeError} when it is larger than 4 GiB or cannot be reserved.
 */
export function createLinearMemory(byteLength: number): LinearMemory {
  const pages = Math.ceil(byteLength / pageBytes);
  if (!(pages <= 65_536)) {
    throw new RangeError(
      `Cannot create packet memory: ${byteLength} bytes are asked for, expected at most 4 GiB`,
    );
  }
  const { Memory } = (globalThis as unknown as { WebAssembly: { Memory: MemoryConstructor } }).WebAssembly;
  return new Memory({ initial: pages, maximum: pages, shared: true });
}
