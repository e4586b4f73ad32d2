import { closeFd, KernelError, writeFd } from "@loden/linux";
import { explainGone, isGone } from "./device-gone.ts";
import { checkUnread, releaseReader } from "./exclusive-reader.ts";
import type { InterfaceControl } from "./interface-request.ts";
import type { OpenedDevice } from "./open-device.ts";
import { PacketReader } from "./packet-reader.ts";
import type { TunOffloads } from "./tun-offloads.ts";
import type { PacketsOptions, TunDevice, TunStats } from "./tun-device.ts";

/** A {@link TunDevice} over an open descriptor and a control socket, both of which it takes over. */
export class LinuxTun implements TunDevice {
  readonly name: string;
  readonly index: number;
  readonly fd: number;
  readonly fds: readonly number[];
  readonly offloads: TunOffloads | undefined;
  readonly #control: InterfaceControl;
  readonly #readers = new Set<PacketReader>();
  #overrun = 0;
  #refused = 0;
  #closed = false;

  constructor(device: OpenedDevice, control: InterfaceControl) {
    this.name = device.name;
    this.fds = device.fds;
    this.fd = device.fds[0] as number;
    this.offloads = device.offloads;
    this.#control = control;
    this.index = control.getIndex();
  }

  get mtu(): number {
    return this.#open("ask for the MTU").getMtu();
  }

  get isUp(): boolean {
    return this.#open("ask for the state").isUp();
  }

  get stats(): TunStats {
    return { overrun: this.#overrun, refused: this.#refused };
  }

  setMtu(mtu: number): void {
    checkMtu(mtu);
    this.#open("set the MTU").setMtu(mtu);
  }

  setUp(up: boolean): void {
    this.#open("set the state").setUp(up);
  }

  packets(options: PacketsOptions = {}): AsyncIterableIterator<Uint8Array> {
    this.#openBare("read packets");
    checkUnread(this.fd);
    const reader = new PacketReader({
      name: this.name,
      fd: this.fd,
      signal: options.signal,
      onOverrun: () => (this.#overrun += 1),
      onEnd: () => this.#readers.delete(reader),
    });
    this.#readers.add(reader);
    return reader;
  }

  send(packet: Uint8Array): boolean {
    this.#openBare("write a packet");
    try {
      if (writeFd(this.fd, packet) !== undefined) return true;
    } catch (error) {
      if (isGone(error)) throw explainGone(error, this.name);
      if (!(error instanceof KernelError)) throw error;
    }
    this.#refused += 1;
    return false;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const reader of this.#readers) reader.end();
    this.#control.close();
    for (const fd of this.fds) {
      releaseReader(fd);
      closeFd(fd);
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #openBare(attempt: string): void {
    this.#open(attempt);
    if (this.offloads === undefined && this.fds.length === 1) return;
    const how = this.offloads === undefined ? "several queues" : "offload";
    throw new TypeError(
      `Cannot ${attempt} of TUN device ${this.name}: it was opened with ${how}, expected createTunQueue()`,
    );
  }

  #open(attempt: string): InterfaceControl {
    if (this.#closed) {
      throw new TypeError(`Cannot ${attempt} of TUN device ${this.name}: it is closed, expected an open one`);
    }
    return this.#control;
  }
}

/**
 * Checks an MTU as the kernel will.
 *
 * @param mtu bytes.
 * @throws {RangeError} when no TUN device can have it. Source: `tun_net_init()` in the kernel's `drivers/net/tun.c`.
 */
export function checkMtu(mtu: number): void {
  if (Number.isInteger(mtu) && mtu >= 68 && mtu <= 65_535) return;
  throw new RangeError(
    `Cannot set the MTU of a TUN device: ${mtu} bytes, expected a whole number from 68 to 65535`,
  );
}
