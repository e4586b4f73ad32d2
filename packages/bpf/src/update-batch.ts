import { bpf, errno, KernelError, lendMemory } from "@loden/linux";
import { attributes } from "./attributes.ts";
import { Command } from "./bpf-command.ts";
import { refusedWrite } from "./refused-write.ts";

/** The kernel's own number for what a kind of map can't do; it has no name outside. */
const ENOTSUPP = 524;

/** The map that {@link updateBatch} writes to. */
export interface BatchTarget {
  readonly fd: number;
  readonly name: string;
  readonly keyBytes: number;
  /** Bytes of a value, of all processors together. */
  readonly entryBytes: number;
  readonly capacity: number;
}

/**
 * Writes many entries to a map with one system call.
 *
 * @param map where to; keys and values are as long as it says.
 * @param entries keys and values, the first one first.
 * @returns whether the kernel takes batches for this kind of map; if not, nothing was written.
 * @throws {KernelError} as for a single write; `detail` says how many were written.
 */
export function updateBatch(
  map: BatchTarget,
  entries: readonly (readonly [key: Uint8Array, value: Uint8Array])[],
): boolean {
  const { fd, name, keyBytes, entryBytes, capacity } = map;
  const keys = new Uint8Array(new SharedArrayBuffer(entries.length * keyBytes));
  const values = new Uint8Array(new SharedArrayBuffer(entries.length * entryBytes));
  for (const [i, [key, value]] of entries.entries()) {
    keys.set(key, i * keyBytes);
    values.set(value, i * entryBytes);
  }
  return lendMemory([keys, values], (keysAt, valuesAt) => {
    const request = attributes(56, [
      [16, 8, keysAt],
      [24, 8, valuesAt],
      [32, 4, entries.length],
      [36, 4, fd],
    ]);
    const attempt = `write to the BPF map ${name}`;
    try {
      bpf(Command.mapUpdateBatch, request, attempt);
      return true;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      // Kernels without the command, and without it for this kind of map.
      if (error.errno === errno.EINVAL || error.errno === ENOTSUPP) return false;
      const written = new DataView(request.buffer).getUint32(32, true);
      throw refusedWrite(error, attempt, capacity, `${written} of ${entries.length} entries were written`);
    }
  });
}
