import type { TunOffloads } from "./tun-offloads.ts";

/** What a {@link TunDevice} counts, since it was opened. Batches have counters of their own. */
export interface TunStats {
  /** Packets that {@link TunDevice.packets} threw away because its reader was too slow. */
  readonly overrun: number;
  /** Packets that {@link TunDevice.send} could not hand to the kernel. */
  readonly refused: number;
}

/** Settings of {@link TunDevice.packets}. */
export interface PacketsOptions {
  /** Ends the iteration: it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * A TUN device that is open: a network device whose other end is this process. What the kernel routes into it is read here, and what is
 * written here comes out of it as if it had arrived from a network. Packets are bare IPv4 or IPv6, without any header before them.
 *
 * There are two ways to read, and one excludes the other: {@linkcode TunDevice.packets} on the event loop, which is easy, and
 * {@linkcode createTunQueue} in batches, which is fast.
 */
export interface TunDevice extends Disposable {
  /** The device's name, as the kernel chose it: `loden0` for the template `loden%d`. */
  readonly name: string;
  /** The interface index, as in `ip link`. */
  readonly index: number;
  /** The descriptor, non-blocking. Owned by this object: only {@linkcode TunDevice.close} may close it. */
  readonly fd: number;
  /** The descriptors of all queues; the first one is `fd`. */
  readonly fds: readonly number[];
  /** The longest packet that the kernel sends into the device, in bytes. Asked from the kernel each time. */
  readonly mtu: number;
  /** Whether the device is up. Asked from the kernel each time. */
  readonly isUp: boolean;
  /** What the kernel granted of the offloads, for {@linkcode createTunQueue}; undefined when it was opened without. */
  readonly offloads: TunOffloads | undefined;
  /** What was counted so far. */
  readonly stats: TunStats;
  /**
   * Sets the MTU, like `ip link set NAME mtu N`.
   * @param mtu bytes, 68 to 65535 (1280 at least, or the kernel takes IPv6 away from the device).
   * @throws {KernelError} `EINVAL` when the kernel does not take it; `ENODEV` when the device was deleted.
   */
  setMtu(mtu: number): void;
  /**
   * Sets the device up or down, like `ip link set NAME up`. A device that is down carries nothing.
   * @param up whether it is to be up; setting what already is does nothing.
   * @throws {KernelError} `ENODEV` when the device was deleted.
   */
  setUp(up: boolean): void;
  /**
   * Reads packets on the event loop of this thread.
   *
   * At most 256 packets wait for the reader; while that many wait, newer ones are dropped and counted in `stats.overrun`.
   * Iteration ends when the device is closed; packets that wait are dropped then. `break` ends it quietly, and it can be started again.
   * Reading starts with the first step; until then packets wait in the kernel (500 of them).
   *
   * @param options `signal` ends the iteration with its reason.
   * @returns the packets: each is the caller's own copy.
   * @throws {TypeError} when the device is closed or was opened with `offload` or several queues, or something reads from it already (another iteration, or a queue of this thread).
   * @throws {KernelError} while iterating: `EBADFD` when the device was deleted.
   */
  packets(options?: PacketsOptions): AsyncIterableIterator<Uint8Array>;
  /**
   * Hands one packet to the kernel, as if it had arrived on this device. The bytes are copied before the call returns.
   * @param packet a whole IPv4 or IPv6 packet.
   * @returns whether the kernel took it: not when the device is down, or when it is no IP packet. What was refused is counted.
   * @throws {TypeError} when the device is closed or was opened with `offload` or several queues.
   * @throws {KernelError} `EBADFD` when the device was deleted.
   */
  send(packet: Uint8Array): boolean;
  /** Closes the device and ends its iteration; the kernel removes the device with its addresses and routes. Again does nothing. */
  close(): void;
}
