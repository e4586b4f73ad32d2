import { addressOf } from "./address-of.ts";

/** What the kernel has an address of: nothing else keeps memory whose address alone is used. */
const lent: ArrayBufferView[] = [];

/**
 * Lends memory to a call that takes addresses inside its arguments, where the garbage collector can't see that it is used.
 *
 * @param views what the call reads or writes, in buffers that are not moved: `SharedArrayBuffer`, or an `ArrayBuffer` larger than 64 bytes.
 * @param use takes the addresses of their first bytes, in their order. What it does has ended when it returns: it is no async function.
 * @returns what `use` returns.
 */
export function lendMemory<T>(
  views: readonly ArrayBufferView[],
  use: (...addresses: readonly number[]) => T,
): T {
  const before = lent.length;
  lent.push(...views);
  try {
    return use(...views.map((view) => addressOf(view)));
  } finally {
    lent.length = before;
  }
}
