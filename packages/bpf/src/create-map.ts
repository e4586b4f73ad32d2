import { bpf, errno, KernelError, lendMemory } from "@loden/linux";
import { attributes } from "./attributes.ts";
import { Command } from "./bpf-command.ts";
import { checkName } from "./check-name.ts";
import { countPossibleProcessors } from "./count-possible-processors.ts";
import { ownDescriptor } from "./own-descriptor.ts";
import { refusedWrite } from "./refused-write.ts";
import { updateBatch } from "./update-batch.ts";

/** `hash` finds any key; the others are indexed by a 32-bit number and start with zeros, `perCpuArray` with a value of its own for each processor. */
export type MapKind = keyof typeof KINDS;

// enum bpf_map_type
const KINDS = { hash: 1, array: 2, perCpuArray: 6 } as const;
/** A hash takes memory for what is in it, not for all that could be. */
const BPF_F_NO_PREALLOC = 1;

/** Settings of {@link createMap}. */
export interface MapOptions {
  /** What keys are, and how many values each has. */
  readonly kind: MapKind;
  /** 1 to 15 letters, digits, `_` and `.`, seen in lists of maps. */
  readonly name: string;
  /** Bytes of a key; 4 unless it is a hash. */
  readonly keyBytes: number;
  /** Bytes of a value, of one processor. */
  readonly valueBytes: number;
  /** The most entries; an array always has so many. */
  readonly capacity: number;
}

/**
 * A table that programs and this process share.
 *
 * A value is `valueBytes` long. That of a `perCpuArray` is the values of all possible processors one after the other, each filled up to a multiple
 * of 8 bytes; `readCounters` sums them.
 */
export interface BpfMap extends MapOptions, Disposable {
  /**
   * Its descriptor, for `Assembler.loadMap`.
   *
   * @throws {TypeError} when it is closed.
   */
  readonly fd: number;
  /**
   * Adds or replaces a value. A program that looks it up meanwhile gets the old one or the new one; in an array it may read a mixture. So it may in a
   * hash when many are replaced while it reads: the kernel uses the memory of a replaced one again.
   *
   * @throws {KernelError} `E2BIG` when a hash is full, or an index is no less than an array's capacity.
   * @throws {RangeError} for a key or a value of another length.
   */
  set(key: Uint8Array, value: Uint8Array): void;
  /**
   * As {@link set} for each, with one system call where the kernel can (Linux 5.6; for `perCpuArray` 5.13).
   *
   * @throws {KernelError} as {@link set}; `detail` says how many were written before.
   * @throws {RangeError} for a key or a value of another length: nothing is written.
   */
  setMany(entries: Iterable<readonly [key: Uint8Array, value: Uint8Array]>): void;
  /**
   * Removes an entry of a hash; does nothing where there is none.
   *
   * @throws {KernelError} `EINVAL` for an array, whose entries stay.
   * @throws {RangeError} for a key of another length.
   */
  delete(key: Uint8Array): void;
  /**
   * Gives a copy of a value, or `undefined` where there is none.
   *
   * @throws {RangeError} for a key of another length.
   */
  get(key: Uint8Array): Uint8Array<ArrayBuffer> | undefined;
  /** Closes it; programs that use it keep it. Again does nothing. */
  close(): void;
}

/**
 * Makes a map.
 *
 * @param options its kind, name and sizes.
 * @returns the map; the caller closes it.
 * @throws {KernelError} `EPERM` without `CAP_BPF`, `EINVAL` or `E2BIG` for sizes that its kind can't have.
 * @throws {NotSupportedError} where the kernel has no BPF.
 * @throws {RangeError} for a name that the kernel doesn't take.
 */
export function createMap(options: MapOptions): BpfMap {
  const { kind, name, keyBytes, valueBytes, capacity } = options;
  checkName("BPF map", name);
  const entryBytes =
    kind === "perCpuArray" ? Math.ceil(valueBytes / 8) * 8 * countPossibleProcessors() : valueBytes;
  const descriptor = ownDescriptor(open(options), `the BPF map ${name}`);
  // Outside the JavaScript heap: the kernel takes their addresses.
  const keyArea = new Uint8Array(new SharedArrayBuffer(keyBytes));
  const valueArea = new Uint8Array(new SharedArrayBuffer(entryBytes));
  let takesBatches = true;

  function call(command: number, attempt: string): void {
    lendMemory([keyArea, valueArea], (key, value) =>
      bpf(
        command,
        attributes(32, [
          [0, 4, descriptor.fd],
          [8, 8, key],
          // The kernel wants zeros where a command has nothing.
          [16, 8, command === Command.mapDelete ? 0 : value],
        ]),
        `${attempt} the BPF map ${name}`,
      ),
    );
  }

  /** As {@link call}; gives whether there was such a key. */
  function find(key: Uint8Array, command: number, attempt: string): boolean {
    checkLength("key", key, keyBytes);
    keyArea.set(key);
    try {
      call(command, attempt);
      return true;
    } catch (error) {
      if (error instanceof KernelError && error.errno === errno.ENOENT) return false;
      throw error;
    }
  }

  function checkLength(what: string, given: Uint8Array, expected: number): void {
    if (given.length === expected) return;
    throw new RangeError(
      `Cannot use the BPF map ${name}: the ${what} has ${given.length} bytes, expected ${expected}`,
    );
  }

  function set(key: Uint8Array, value: Uint8Array): void {
    checkLength("key", key, keyBytes);
    checkLength("value", value, entryBytes);
    keyArea.set(key);
    valueArea.set(value);
    try {
      call(Command.mapUpdate, "write to");
    } catch (error) {
      throw refusedWrite(error, `write to the BPF map ${name}`, capacity);
    }
  }

  function setMany(entries: Iterable<readonly [key: Uint8Array, value: Uint8Array]>): void {
    const list = [...entries];
    for (const [key, value] of list) {
      checkLength("key", key, keyBytes);
      checkLength("value", value, entryBytes);
    }
    if (list.length === 0) return;
    takesBatches &&= updateBatch({ fd: descriptor.fd, name, keyBytes, entryBytes, capacity }, list);
    if (!takesBatches) for (const [key, value] of list) set(key, value);
  }

  return {
    ...options,
    get fd() {
      return descriptor.fd;
    },
    set,
    setMany,
    delete: (key) => void find(key, Command.mapDelete, "delete from"),
    get: (key) => (find(key, Command.mapLookup, "read from") ? valueArea.slice() : undefined),
    close: descriptor.close,
    [Symbol.dispose]: descriptor.close,
  };
}

function open({ kind, name, keyBytes, valueBytes, capacity }: MapOptions): number {
  return bpf(
    Command.mapCreate,
    attributes(44, [
      [0, 4, KINDS[kind]],
      [4, 4, keyBytes],
      [8, 4, valueBytes],
      [12, 4, capacity],
      [16, 4, kind === "hash" ? BPF_F_NO_PREALLOC : 0],
      [28, 16, name],
    ]),
    `make the BPF map ${name}`,
  );
}
