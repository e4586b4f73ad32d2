import { LocalField } from "./layout.ts";

/** What a host says about itself; addresses are unsigned 32-bit numbers in host order. */
export interface LocalNodeValues {
  /** Base of our own subnet. */
  readonly network: number;
  /** Length of our own subnet, 0 to 32. */
  readonly prefixLength: number;
  /** Our tunnel address: the source of ICMP errors. */
  readonly address: number;
  /** Tunnel MTU in bytes: the longest inner packet, and the value in "fragmentation needed". */
  readonly mtu: number;
}

/**
 * Our own subnet, tunnel address and MTU, in linear memory: the main thread writes them, stages read them.
 *
 * Each field is one atomic cell. Subnet and address are set before pumps start; the MTU may change while they run.
 */
export class LocalNode {
  /** Offset of the fields in memory, for WebAssembly kernels. */
  readonly offset: number;
  readonly #cells: Uint32Array;

  /** @param buffer the whole memory. @param offset where the fields lie. */
  constructor(buffer: ArrayBufferLike, offset: number) {
    this.offset = offset;
    this.#cells = new Uint32Array(buffer, offset, 16);
  }

  /**
   * Sets what is given and leaves the rest.
   *
   * @throws RangeError for a prefix length beyond 32, or a number that isn't an unsigned 32-bit integer.
   */
  set(values: Partial<LocalNodeValues>): void {
    for (const name of ["network", "prefixLength", "address", "mtu"] as const) {
      const value = values[name];
      if (value === undefined) continue;
      const most = name === "prefixLength" ? 32 : 0xffff_ffff;
      if (!Number.isInteger(value) || value < 0 || value > most) {
        throw new RangeError(
          `Cannot set local node: ${name} is ${value}, expected an integer from 0 to ${most}`,
        );
      }
      Atomics.store(this.#cells, LocalField[name] / 4, value);
    }
  }

  /** Base of our own subnet. */
  get network(): number {
    return Atomics.load(this.#cells, LocalField.network / 4);
  }

  /** Length of our own subnet. */
  get prefixLength(): number {
    return Atomics.load(this.#cells, LocalField.prefixLength / 4);
  }

  /** Our tunnel address. */
  get address(): number {
    return Atomics.load(this.#cells, LocalField.address / 4);
  }

  /** Tunnel MTU in bytes. */
  get mtu(): number {
    return Atomics.load(this.#cells, LocalField.mtu / 4);
  }
}
