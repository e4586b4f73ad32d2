import { closeFd } from "@loden/linux";
import type { Netns } from "@loden/netns";
import { checkDeviceName } from "./device-name.ts";
import { openInterfaceControl } from "./interface-request.ts";
import { checkMtu, LinuxTun } from "./linux-tun.ts";
import { openDevice, silenceDevice } from "./open-device.ts";
import type { TunDevice } from "./tun-device.ts";

/** Settings of {@link openTun}. */
export interface OpenTunOptions {
  /** The device's name, or a template in which `%d` becomes the first free number; `loden%d` by default. At most 15 bytes. */
  readonly name?: string | undefined;
  /** The network namespace that the device is to live in; the thread's own by default. It may be closed afterwards. */
  readonly netns?: Netns | undefined;
  /** The MTU in bytes, 68 to 65535; the kernel's default is 1500. */
  readonly mtu?: number | undefined;
  /**
   * Whether the kernel hands over super-packets of up to 64 KiB with unfinished checksums, and takes such: fast, for batches alone
   * (`packets()` and `send()` are refused). What it grants is in `offloads` of the device; false by default.
   */
  readonly offload?: boolean | undefined;
  /**
   * How many queues the device has, each with a descriptor of its own in `fds`: packets of one flow come out of one queue. 1 by default; with more,
   * it is for batches alone.
   */
  readonly queues?: number | undefined;
}

/**
 * Opens a TUN device: creates it, or attaches to a persistent one of that name that nobody has open.
 *
 * Like `ip tuntap add mode tun`, but the device goes away when it is closed, even after a crash. It is down and has no address: set it
 * up with {@linkcode TunDevice.setUp}, and give it addresses and routes with `@loden/rtnetlink`. It invents no IPv6 address of its own
 * (`addr_gen_mode` none), so that a fresh one carries no packets that nobody sent.
 *
 * @param options name, namespace and MTU.
 * @returns the device; the caller closes it.
 * @throws {RangeError} for a name, an MTU or a number of queues that no device can have.
 * @throws {KernelError} `ENOENT` without /dev/net/tun; `EPERM` without privilege; `EBUSY` when another process has a device of that name
 * open; `EINVAL` when a device of another kind has the name. The error's `detail` says what to do.
 */
export function openTun(options: OpenTunOptions = {}): TunDevice {
  const { name = "loden%d", netns, mtu, offload = false, queues = 1 } = options;
  checkDeviceName(name);
  if (mtu !== undefined) checkMtu(mtu);
  checkQueues(queues);
  const open = (): TunDevice => openHere(name, mtu, offload, queues);
  return netns === undefined ? open() : netns.run(open);
}

/** As many as the kernel has (MAX_TAP_QUEUES). */
function checkQueues(queues: number): void {
  if (Number.isInteger(queues) && queues >= 1 && queues <= 256) return;
  throw new RangeError(`Cannot open a TUN device: ${queues} queues, expected a whole number from 1 to 256`);
}

function openHere(name: string, mtu: number | undefined, offload: boolean, queues: number): TunDevice {
  const device = openDevice(name, offload, queues);
  try {
    silenceDevice(device.name);
    const control = openInterfaceControl(device.name);
    try {
      if (mtu !== undefined) control.setMtu(mtu);
      return new LinuxTun(device, control);
    } catch (error) {
      control.close();
      throw error;
    }
  } catch (error) {
    device.fds.forEach(closeFd);
    throw error;
  }
}
