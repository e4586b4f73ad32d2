import { errno, KernelError, setLinkFeatures } from "@loden/linux";
import type { Netns } from "@loden/netns";

/**
 * Switches a device's offload of TCP and UDP checksums for sent packets, as `ethtool -K DEVICE tx off`. The kernel then finishes them itself.
 *
 * @param netns where the device is; without it, the namespace of the calling thread.
 * @param device its name.
 * @param on whether the device may leave them to those below.
 * @throws {KernelError} ENODEV when there is no such device, EOPNOTSUPP when it can't be switched.
 */
export function setTxChecksum(netns: Netns | undefined, device: string, on: boolean): void {
  const set = (): ReadonlyMap<string, boolean> =>
    setLinkFeatures(device, (name) => (isTxChecksum(name) ? on : undefined));
  const active = [...(netns === undefined ? set() : netns.run(set))].filter(([, isActive]) => isActive);
  if (active.some(([name]) => isTxChecksum(name)) === on) return;
  const attempt = `switch the checksum offload of ${device}`;
  throw new KernelError({ attempt, syscall: "ioctl", errno: errno.EOPNOTSUPP });
}

function isTxChecksum(name: string): boolean {
  return name.startsWith("tx-checksum-");
}
