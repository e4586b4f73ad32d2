import { writeFileSync } from "node:fs";
import { closeFd, constants, ioctl, KernelError, openFile } from "@loden/linux";
import { interfaceRequest } from "./interface-request.ts";
import { negotiateOffloads, type TunOffloads } from "./tun-offloads.ts";

// include/uapi/linux/if_tun.h
const TUNSETIFF = 0x400454ca;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const IFF_MULTI_QUEUE = 0x0100;

const DEVICE_FILE = "/dev/net/tun";

/** A device as the kernel opened it. */
export interface OpenedDevice {
  /** One descriptor for each queue. */
  readonly fds: readonly number[];
  readonly name: string;
  readonly offloads: TunOffloads | undefined;
}

/**
 * Opens a TUN device in the namespace that the thread is in: bare packets, non-blocking, gone when the descriptors are closed.
 *
 * @param name a name, or a template with `%d`.
 * @param offload whether packets have a `struct virtio_net_hdr` before them, and the kernel leaves what it can to us.
 * @param queues how many queues it has.
 * @returns the descriptors, and the name that the kernel settled on.
 * @throws {KernelError} with a `detail` that says what to do about it.
 */
export function openDevice(name: string, offload: boolean, queues: number): OpenedDevice {
  const flags = IFF_TUN | IFF_NO_PI | (offload ? IFF_VNET_HDR : 0) | (queues > 1 ? IFF_MULTI_QUEUE : 0);
  const fds: number[] = [];
  let settled = name;
  try {
    while (fds.length < queues) {
      const fd = explaining(`open ${DEVICE_FILE}`, openHints, () =>
        openFile(DEVICE_FILE, constants.O_RDWR | constants.O_NONBLOCK),
      );
      fds.push(fd);
      // A further queue is opened by the name of the device.
      settled = attachQueue(fd, settled, flags);
    }
    const offloads = offload ? negotiateOffloads(fds[0] as number) : undefined;
    return { fds, offloads, name: settled };
  } catch (error) {
    fds.forEach(closeFd);
    throw error;
  }
}

function attachQueue(fd: number, name: string, flags: number): string {
  const ifreq = interfaceRequest(name);
  new DataView(ifreq.buffer).setUint16(16, flags, true);
  explaining(`open TUN device ${name}`, createHints, () => ioctl(fd, TUNSETIFF, ifreq));
  return new TextDecoder().decode(ifreq.subarray(0, ifreq.indexOf(0)));
}

/**
 * Keeps a fresh device from inventing an IPv6 address of its own and asking for routers: `addr_gen_mode` = none.
 *
 * Does nothing where the kernel has no IPv6, or where /proc/sys can't be written (in a container): then the device emits router
 * solicitations when it is set up, which reach the reader as packets.
 *
 * @param name the device, in the namespace that the thread is in.
 */
export function silenceDevice(name: string): void {
  try {
    // 1 is IN6_ADDR_GEN_MODE_NONE. Opened without O_CREAT: procfs does not create files anyhow.
    writeFileSync(`/proc/sys/net/ipv6/conf/${name}/addr_gen_mode`, "1", { flag: "r+" });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT" && code !== "EROFS" && code !== "EACCES" && code !== "EPERM") throw error;
  }
}

const noPrivilege = "expected root, or CAP_NET_ADMIN in the network namespace";
const noModule = `expected the kernel's tun module (modprobe tun; in a container: --device ${DEVICE_FILE})`;

const openHints: Readonly<Record<string, string>> = {
  ENOENT: noModule,
  ENODEV: noModule,
  ENXIO: noModule,
  EPERM: `expected access to ${DEVICE_FILE} (in a container: --device ${DEVICE_FILE})`,
  EACCES: `expected read and write access to ${DEVICE_FILE}`,
};

const createHints: Readonly<Record<string, string>> = {
  EPERM: noPrivilege,
  EBUSY: "another process has the device open, expected a free name or a template such as loden%d",
  EINVAL: "the name belongs to a device of another kind, expected a free name or a template such as loden%d",
};

function explaining<T>(attempt: string, hints: Readonly<Record<string, string>>, fn: () => T): T {
  try {
    return fn();
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    const detail = hints[error.code];
    if (detail === undefined) throw error;
    throw new KernelError({ attempt, syscall: error.syscall, errno: error.errno, detail });
  }
}
