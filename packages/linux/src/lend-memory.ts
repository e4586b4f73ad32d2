import { addressOf } from "./address-of.ts";

/** What the kernel has an address of: nothing else keeps memory whose address alone is used. */
const lent: ArrayBufferView[] = [];

/**
 * Lends memory to a call that takes addresses inside its arguments, where the garbage collector can't see that it is used.
 *
 * The memory has to stay where it is: views of a `SharedArrayBuffer`, of a `WebAssembly.Memory`, or of an `ArrayBuffer` that was made as one. V8 keeps
 * arrays of at most 64 bytes that were made without a buffer (`new Uint8Array(8)`) where it moves them.
 *
 * @param views what the call reads or writes.
 * @param use takes the addresses of the views' first bytes, in their order. It has used them when it returns: what it starts and doesn't await is no longer covered.
 * @returns what `use` returns.
 * @throws {TypeError} when `use` returns a promise.
 */
export function lendMemory<const Views extends readonly ArrayBufferView[], Result>(
  views: Views,
  use: (...addresses: Addresses<Views>) => Result,
): Result {
  const before = lent.length;
  lent.push(...views);
  try {
    const result = use(...(views.map((view) => addressOf(view)) as unknown as Addresses<Views>));
    if (result instanceof Promise)
      throw new TypeError("Cannot lend memory: the function returned a promise, expected synchronous work");
    return result;
  } finally {
    lent.length = before;
  }
}

type Addresses<Views extends readonly ArrayBufferView[]> = { [View in keyof Views]: number };
