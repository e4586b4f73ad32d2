import { addressOf, closeFd, constants, ioctl, openSocket } from "@loden/linux";
import type { Netns } from "@loden/netns";

// include/uapi/linux/sockios.h, ethtool.h
const SIOCETHTOOL = 0x8946;
const ETHTOOL_STXCSUM = 0x17;

// struct ethtool_value, outside the JavaScript heap, where it stays; the module's, since nothing else would keep it while the kernel reads it.
const value = new DataView(new SharedArrayBuffer(8));

/**
 * Switches a device's offload of TCP and UDP checksums for sent packets, as `ethtool -K DEVICE tx off`. The kernel then finishes them itself.
 *
 * @param netns where the device is; without it, the namespace of the calling thread.
 * @param device its name.
 * @param on whether the device may leave them to those below.
 * @throws {KernelError} ENODEV when there is no such device, EOPNOTSUPP when it can't be switched.
 */
export function setTxChecksum(netns: Netns | undefined, device: string, on: boolean): void {
  const open = (): number => openSocket(constants.AF_INET, constants.SOCK_DGRAM);
  const fd = netns === undefined ? open() : netns.run(open);
  try {
    value.setUint32(0, ETHTOOL_STXCSUM, true);
    value.setUint32(4, Number(on), true);
    const ifreq = new Uint8Array(40);
    ifreq.set(new TextEncoder().encode(device).subarray(0, 15));
    new DataView(ifreq.buffer).setBigUint64(16, BigInt(addressOf(value)), true);
    ioctl(fd, SIOCETHTOOL, ifreq, `switch the checksum offload of ${device}`);
  } finally {
    closeFd(fd);
  }
}
