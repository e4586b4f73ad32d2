import { ioctl, KernelError } from "@loden/linux";

// include/uapi/linux/if_tun.h
const TUNSETOFFLOAD = 0x400454d0;
const TUN_F_CSUM = 0x01;
const TUN_F_TSO = 0x06;
const TUN_F_TSO_ECN = 0x08;
const TUN_F_USO = 0x60;

/** What the kernel leaves to the reader of a TUN device, and takes from its writer. */
export interface TunOffloads {
  /** Checksums of TCP and UDP. */
  readonly checksum: boolean;
  /** Cutting TCP into segments. */
  readonly tcp: boolean;
  /** Cutting UDP into datagrams; from Linux 6.2 on. */
  readonly udp: boolean;
}

/**
 * Asks the kernel for as many offloads as it has: all, then without UDP, then checksums alone, then none.
 *
 * @param fd a TUN device that was opened with a virtio header.
 * @returns what the kernel granted.
 * @throws {KernelError} when it refuses for another reason than not knowing an offload.
 */
export function negotiateOffloads(fd: number): TunOffloads {
  const tcp = TUN_F_CSUM | TUN_F_TSO | TUN_F_TSO_ECN;
  if (accepts(fd, tcp | TUN_F_USO)) return { checksum: true, tcp: true, udp: true };
  if (accepts(fd, tcp)) return { checksum: true, tcp: true, udp: false };
  return { checksum: accepts(fd, TUN_F_CSUM), tcp: false, udp: false };
}

function accepts(fd: number, offloads: number): boolean {
  try {
    ioctl(fd, TUNSETOFFLOAD, offloads, "ask for the offloads of a TUN device");
    return true;
  } catch (error) {
    if (error instanceof KernelError && error.code === "EINVAL") return false;
    throw error;
  }
}
