import { LocalField } from "./layout.ts";
import { prefixMask } from "./prefix-mask.ts";
import { isPacketAddress, readIpv6, writeIpv6 } from "./packet-address.ts";

/** What a host says about itself; IPv4 addresses are unsigned 32-bit numbers, IPv6 addresses 128-bit ones. */
export interface LocalNodeValues {
  /** Base of our own IPv4 subnet. */
  readonly network: number;
  /** Length of our own IPv4 subnet, 1 to 32; 0 while there is none: nothing is for us then. */
  readonly prefixLength: number;
  /** Our IPv4 tunnel address: the source of ICMP errors. */
  readonly address: number;
  /** Base of our own IPv6 subnet. */
  readonly network6: bigint;
  /** Length of our own IPv6 subnet, 1 to 128; 0 while there is none: nothing is for us then, and no ICMPv6 error is sent. */
  readonly prefixLength6: number;
  /** Our IPv6 tunnel address: the source of ICMPv6 errors. */
  readonly address6: bigint;
  /** Tunnel MTU in bytes: the longest inner packet, and the value in "fragmentation needed" and "packet too big". */
  readonly mtu: number;
}

const most = {
  prefixLength: 32,
  prefixLength6: 128,
  network: 0xffff_ffff,
  address: 0xffff_ffff,
  mtu: 0xffff_ffff,
};

/**
 * Our own subnets, tunnel addresses and MTU, in linear memory: the main thread writes them, stages read them.
 *
 * Subnets and addresses are set before pumps start; the MTU may change while they run.
 */
export class LocalNode {
  /** Offset of the fields in memory, for WebAssembly kernels. */
  readonly offset: number;
  readonly #cells: Uint32Array;
  readonly #view: DataView;

  /** @param buffer the whole memory. @param offset where the fields lie. */
  constructor(buffer: ArrayBufferLike, offset: number) {
    this.offset = offset;
    this.#cells = new Uint32Array(buffer, offset, 16);
    this.#view = new DataView(buffer, offset, 64);
  }

  /**
   * Sets what is given and leaves the rest.
   *
   * @throws {RangeError} for a prefix length beyond 32 or 128, or a number that is no address or no unsigned 32-bit integer.
   */
  set(values: Partial<LocalNodeValues>): void {
    for (const [name, limit] of Object.entries(most)) {
      const value = values[name as keyof typeof most];
      if (value !== undefined && (!Number.isInteger(value) || value < 0 || value > limit))
        throw cannotSet(name, value, `an integer from 0 to ${limit}`);
    }
    for (const name of ["network6", "address6"] as const) {
      const value = values[name];
      if (value !== undefined && !isPacketAddress(value)) throw cannotSet(name, value, "an IPv6 address");
    }
    const { network6, address6 } = values;
    if (network6 !== undefined) writeIpv6(this.#view, LocalField.network6, network6);
    if (address6 !== undefined) writeIpv6(this.#view, LocalField.address6, address6);
    for (const name of Object.keys(most) as (keyof typeof most)[]) {
      const value = values[name];
      if (value !== undefined) Atomics.store(this.#cells, LocalField[name] / 4, value);
    }
  }

  /** Base of our own IPv4 subnet. */
  get network(): number {
    return this.#get("network");
  }

  /** Length of our own IPv4 subnet, 0 while there is none. */
  get prefixLength(): number {
    return this.#get("prefixLength");
  }

  /** Our IPv4 tunnel address. */
  get address(): number {
    return this.#get("address");
  }

  /** Base of our own IPv6 subnet. */
  get network6(): bigint {
    return readIpv6(this.#view, LocalField.network6);
  }

  /** Length of our own IPv6 subnet, 0 while there is none. */
  get prefixLength6(): number {
    return this.#get("prefixLength6");
  }

  /** Our IPv6 tunnel address. */
  get address6(): bigint {
    return readIpv6(this.#view, LocalField.address6);
  }

  /** Tunnel MTU in bytes. */
  get mtu(): number {
    return this.#get("mtu");
  }

  /**
   * Tells whether an address is in our own subnet of its family. Nothing is allocated.
   *
   * @param view any memory. @param at where the address lies in it, in network order. @param family 4 or 6: 4 or 16 bytes.
   */
  holds(view: DataView, at: number, family: 4 | 6): boolean {
    if (family === 4) {
      const { prefixLength } = this;
      return (
        prefixLength > 0 && ((this.network ^ view.getUint32(at, false)) & prefixMask(prefixLength)) === 0
      );
    }
    const length = this.prefixLength6;
    for (let bits = 0; bits < length; bits += 32) {
      const word = bits / 8;
      const differing =
        this.#view.getUint32(LocalField.network6 + word, false) ^ view.getUint32(at + word, false);
      if ((differing & prefixMask(Math.min(32, length - bits))) !== 0) return false;
    }
    return length > 0;
  }

  #get(name: keyof typeof most): number {
    return Atomics.load(this.#cells, LocalField[name] / 4);
  }
}

function cannotSet(name: string, value: unknown, expected: string): RangeError {
  return new RangeError(`Cannot set local node: ${name} is ${String(value)}, expected ${expected}`);
}
