import { bpf, closeFd, KernelError, lendMemory } from "@loden/linux";
import { attributes, Command } from "./bpf-command.ts";

/** `enum bpf_map_type`. */
const KINDS = { hash: 1, array: 2, perCpuArray: 6 } as const;
/** A hash that takes memory for what is in it, not for all that could be. */
const BPF_F_NO_PREALLOC = 1;

/** Settings of {@link createMap}. */
export interface MapOptions {
  /** `hash` finds any key; `array` is indexed by a 32-bit number and starts with zeros. */
  readonly kind: "hash" | "array";
  /** At most 15 characters, seen in lists of maps. */
  readonly name: string;
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly capacity: number;
}

/** A table that programs and this process share. Closing it leaves it to the programs that use it. */
export interface BpfMap extends Disposable {
  readonly fd: number;
  /**
   * Adds or replaces a value; a program sees the old one or the new one, never a mixture.
   *
   * @throws {KernelError} `E2BIG` when a hash is full.
   */
  set(key: Uint8Array, value: Uint8Array): void;
  /** Removes a value; does nothing where there is none. */
  delete(key: Uint8Array): void;
  /** Gives a copy of a value, or `undefined`. */
  get(key: Uint8Array): Uint8Array | undefined;
  close(): void;
}

/**
 * Makes a map.
 *
 * @param options its kind, name and sizes.
 * @returns the map; the caller closes it.
 * @throws {KernelError} `EPERM` without `CAP_BPF`, `ENOSYS` where the kernel has no BPF.
 * @throws {RangeError} for a key or value of another length than the map's, when one is given.
 */
export function createMap(options: MapOptions): BpfMap {
  const { kind, name, keyBytes, valueBytes, capacity } = options;
  const fd = bpf(
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
  let open = true;
  // Outside the JavaScript heap: the kernel takes their addresses.
  const keyArea = new Uint8Array(new SharedArrayBuffer(keyBytes));
  const valueArea = new Uint8Array(new SharedArrayBuffer(valueBytes));

  function call(command: number, attempt: string): void {
    lendMemory([keyArea, valueArea], (key = 0, value = 0) =>
      bpf(
        command,
        attributes(32, [
          [0, 4, fd],
          [8, 8, key],
          [16, 8, value],
        ]),
        `${attempt} the BPF map ${name}`,
      ),
    );
  }

  /** As {@link call}; gives whether there was such a key. */
  function find(command: number, attempt: string): boolean {
    try {
      call(command, attempt);
      return true;
    } catch (error) {
      if (error instanceof KernelError && error.code === "ENOENT") return false;
      throw error;
    }
  }

  function take(key: Uint8Array): void {
    checkLength("key", key, keyBytes);
    keyArea.set(key);
  }

  function checkLength(what: string, given: Uint8Array, expected: number): void {
    if (given.length === expected) return;
    throw new RangeError(
      `Cannot use the BPF map ${name}: the ${what} has ${given.length} bytes, expected ${expected}`,
    );
  }

  function close(): void {
    if (open) closeFd(fd);
    open = false;
  }

  return {
    fd,
    set(key, value) {
      take(key);
      checkLength("value", value, valueBytes);
      valueArea.set(value);
      call(Command.mapUpdate, "write to");
    },
    delete(key) {
      take(key);
      find(Command.mapDelete, "delete from");
    },
    get(key) {
      take(key);
      return find(Command.mapLookup, "read from") ? valueArea.slice() : undefined;
    },
    close,
    [Symbol.dispose]: close,
  };
}
