import { libc } from "./libc.ts";

/**
 * Gives the absolute address of a WebAssembly memory of fixed size, or of a buffer outside the JavaScript heap.
 *
 * The address is the same in the main thread and in workers that share the memory. Whoever keeps the address keeps the
 * memory too: after garbage collection a raw address points nowhere, and nothing says so. A local variable keeps it only up to its last use,
 * which may come before the call that takes the address.
 *
 * @param memory the memory, or a view whose first byte is meant.
 * @returns the address of its first byte, as a number (addresses fit into 48 bits).
 */
export function addressOf(memory: { readonly buffer: ArrayBufferLike } | ArrayBufferView): number {
  const view = ArrayBuffer.isView(memory) ? memory : new Uint8Array(memory.buffer);
  return Number(libc().koffi.address(view));
}
