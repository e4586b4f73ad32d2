import { addressOf } from "./address-of.ts";
import { libc } from "./libc.ts";

/** Of x86-64, and of arm64 with pages of 4 KiB. */
const HUGE_PAGE_BYTES = 2 ** 21;
// include/uapi/asm-generic/mman-common.h
const MADV_HUGEPAGE = 14;
const MADV_COLLAPSE = 25;

/**
 * Asks the kernel to hold a memory in huge pages, and to gather in them what is there already: random reads of many megabytes need fewer walks
 * through the page tables then. What is touched of such a page costs the whole page. As `madvise(2)` with `MADV_HUGEPAGE` and
 * `MADV_COLLAPSE` (Linux 6.1).
 *
 * @param memory a memory of fixed size outside the JavaScript heap.
 * @returns whether the kernel took the advice for what comes; it is only advice, and whether it was followed is not said.
 */
export function useHugePages(memory: { readonly buffer: ArrayBufferLike } | ArrayBufferView): boolean {
  const address = addressOf(memory);
  const end = address + (ArrayBuffer.isView(memory) ? memory.byteLength : memory.buffer.byteLength);
  const from = Math.ceil(address / HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES;
  const length = Math.floor(end / HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES - from;
  if (length <= 0 || libc().madvise(from, length, MADV_HUGEPAGE) < 0) return false;
  libc().madvise(from, length, MADV_COLLAPSE);
  return true;
}
