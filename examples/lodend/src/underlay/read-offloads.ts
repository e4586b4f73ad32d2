import { addressOf, closeFd, constants, ioctl, openSocket } from "@loden/linux";

// include/uapi/linux/sockios.h and include/uapi/linux/ethtool.h
const SIOCETHTOOL = 0x8946;
const ETHTOOL_GSTRINGS = 0x1b;
const ETHTOOL_GSSET_INFO = 0x37;
const ETHTOOL_GFEATURES = 0x3a;
const ETH_SS_FEATURES = 4;
const STRING_BYTES = 32;
const IFREQ_BYTES = 40;

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
  const active = activeFeatures(device);
  const isOn = (names: readonly string[]): boolean => names.some((name) => active.has(name));
  return Object.fromEntries(Object.entries(features).map(([key, names]) => [key, isOn(names)])) as never;
}

function activeFeatures(device: string): Set<string> {
  const fd = openSocket(constants.AF_INET, constants.SOCK_DGRAM);
  const ask = (bytes: Uint8Array): DataView => {
    // struct ifreq: the name, then a pointer to what is asked.
    const ifreq = new Uint8Array(IFREQ_BYTES);
    ifreq.set(new TextEncoder().encode(device));
    new DataView(ifreq.buffer).setBigUint64(16, BigInt(addressOf(bytes)), true);
    ioctl(fd, SIOCETHTOOL, ifreq, `ask for the offloads of ${device}`);
    return new DataView(bytes.buffer);
  };
  try {
    // struct ethtool_sset_info: command, padding, a mask of string sets, and a length for each set that there is.
    const info = request(20, ETHTOOL_GSSET_INFO);
    new DataView(info.buffer).setBigUint64(8, 1n << BigInt(ETH_SS_FEATURES), true);
    const count = ask(info).getUint32(16, true);
    // struct ethtool_gstrings: command, set, length, names of 32 bytes.
    const strings = request(12 + count * STRING_BYTES, ETHTOOL_GSTRINGS, ETH_SS_FEATURES, count);
    ask(strings);
    // struct ethtool_gfeatures: command, number of blocks; each available, requested, active, never_changed, of 32 bits.
    const blocks = Math.ceil(count / 32);
    const bits = ask(request(8 + blocks * 16, ETHTOOL_GFEATURES, blocks));
    const names = Array.from({ length: count }, (_, index) => textAt(strings, 12 + index * STRING_BYTES));
    return new Set(
      names.filter((_, index) => (bits.getUint32(8 + (index >> 5) * 16 + 8, true) >>> (index & 31)) & 1),
    );
  } finally {
    closeFd(fd);
  }
}

function request(bytes: number, ...words: readonly number[]): Uint8Array<ArrayBuffer> {
  const made = new Uint8Array(bytes);
  const view = new DataView(made.buffer);
  for (const [index, word] of words.entries()) view.setUint32(index * 4, word, true);
  return made;
}

function textAt(bytes: Uint8Array, offset: number): string {
  const text = bytes.subarray(offset, offset + STRING_BYTES);
  return new TextDecoder().decode(text.subarray(0, text.indexOf(0)));
}
