import { readLinkFeatures } from "@loden/linux";

/** What a network device does for the processor that matters to an overlay: whether each is on. */
export interface Offloads {
  /** Fills in checksums of what is sent. Without it UDP_SEGMENT is refused, and each datagram costs a pass over its bytes. */
  readonly txChecksum: boolean;
  /** Cuts TCP into packets (TSO). */
  readonly tso: boolean;
  /** Cuts in software at the last moment (GSO), which the next two need where the device does not. */
  readonly gso: boolean;
  /** Cuts UDP into datagrams (UDP_SEGMENT), for the udp backend. */
  readonly udpSegmentation: boolean;
  /** Cuts what is inside UDP tunnels, for the vxlan backend. */
  readonly udpTunnelSegmentation: boolean;
  /** Joins what is received (GRO). */
  readonly gro: boolean;
}

/** By the names that `ethtool --show-features` has for them; the first that the device knows tells. */
const features: Readonly<Record<keyof Offloads, readonly string[]>> = {
  txChecksum: ["tx-checksum-ip-generic", "tx-checksum-ipv4"],
  tso: ["tx-tcp-segmentation"],
  gso: ["tx-generic-segmentation"],
  udpSegmentation: ["tx-udp-segmentation"],
  udpTunnelSegmentation: ["tx-udp_tnl-segmentation"],
  gro: ["rx-gro"],
};

/**
 * Reads which offloads of a network device of this namespace are on, as `ethtool --show-features`.
 *
 * @param device its name.
 * @returns the offloads.
 * @throws {KernelError} `ENODEV` when there is no such device.
 */
export function readOffloads(device: string): Offloads {
  const known = readLinkFeatures(device);
  const isOn = (names: readonly string[]): boolean => names.some((name) => known.get(name) === true);
  return Object.fromEntries(Object.entries(features).map(([key, names]) => [key, isOn(names)])) as never;
}
