import { Duplex } from "node:stream";
import { type AddressControl, openAddressControl } from "./address-control.ts";
import { openTun, type OpenTunOptions } from "./open-tun.ts";
import type { TunDevice } from "./tun-device.ts";

/**
 * Opens a TUN device as a stream of packets, in the shape that the npm package tuntap2 has, so that programs written for it can move.
 *
 * Each chunk is one whole packet, read as a Buffer, written as a Buffer or any other Uint8Array. What differs from tuntap2: it never uses
 * the thread pool, it works in any network namespace, chunks are never joined (object mode), and a packet that the kernel
 * refuses is dropped as a network drops it, without ending the stream.
 *
 * @param options name, namespace and MTU, as {@linkcode openTun} takes them.
 * @returns the stream; the caller releases it.
 * @throws {RangeError} for a name or an MTU that no device can have.
 * @throws {KernelError} as {@linkcode openTun} does.
 */
export function openTunDuplex(options: OpenTunOptions = {}): TunDuplex {
  const device = openTun(options);
  try {
    const open = (): AddressControl => openAddressControl(device.name, device.index);
    return new TunDuplex(device, options.netns === undefined ? open() : options.netns.run(open));
  } catch (error) {
    device.close();
    throw error;
  }
}

/** A TUN device as a stream of packets: see {@link openTunDuplex}. */
export class TunDuplex extends Duplex {
  /** Always true. */
  readonly isTun = true;
  /** Always false. */
  readonly isTap = false;
  readonly #device: TunDevice;
  readonly #addresses: AddressControl;
  #packets: AsyncIterator<Uint8Array> | undefined;
  #ipv4: string | undefined;
  #ipv6: string | undefined;

  /**
   * @param device the device; the stream closes it.
   * @param addresses the control of its addresses; the stream closes it.
   */
  constructor(device: TunDevice, addresses: AddressControl) {
    super({ objectMode: true, allowHalfOpen: false });
    this.#device = device;
    this.#addresses = addresses;
  }

  /** The device's name, as the kernel chose it. */
  get name(): string {
    return this.#device.name;
  }

  /** The MTU in bytes; setting it throws as {@linkcode TunDevice.setMtu} does. */
  get mtu(): number {
    return this.#device.mtu;
  }

  set mtu(mtu: number) {
    this.#device.setMtu(mtu);
  }

  /** Whether the device is up; packets move only while it is. */
  get isUp(): boolean {
    return this.#device.isUp;
  }

  set isUp(up: boolean) {
    this.#device.setUp(up);
  }

  /**
   * The IPv4 address with its prefix length, as it was set here: `10.0.0.1/24`. Setting it replaces the one that the device has; a
   * SyntaxError says that it is none, a KernelError that the kernel does not take it.
   */
  get ipv4(): string | undefined {
    return this.#ipv4;
  }

  set ipv4(text: string) {
    this.#addresses.setIPv4(text);
    this.#ipv4 = text;
  }

  /** The IPv6 address with its prefix length, as it was set here: `fd00::1/64`. Setting it replaces the one set before. */
  get ipv6(): string | undefined {
    return this.#ipv6;
  }

  set ipv6(text: string) {
    this.#addresses.setIPv6(text);
    this.#ipv6 = text;
  }

  /** Ends the stream and closes the device, which the kernel then removes. Again does nothing. */
  release(): void {
    this.destroy();
  }

  /** Takes one packet from the device; for the stream machinery. */
  override _read(): void {
    this.#packets ??= this.#device.packets();
    this.#packets.next().then(
      ({ value, done }) =>
        this.push(done === true ? null : Buffer.from(value.buffer, value.byteOffset, value.byteLength)),
      (error: unknown) => this.destroy(error as Error),
    );
  }

  /** Hands one packet to the device; for the stream machinery. */
  override _write(packet: Uint8Array, _encoding: string, callback: (error?: Error | null) => void): void {
    try {
      this.#device.send(packet);
      callback();
    } catch (error) {
      callback(error as Error);
    }
  }

  /** Closes the device; for the stream machinery. */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#addresses.close();
    this.#device.close();
    callback(error);
  }
}
