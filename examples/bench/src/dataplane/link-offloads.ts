import { addressOf, closeFd, constants, ioctl, openSocket } from "@loden/linux";
import type { Netns } from "@loden/netns";

// include/uapi/linux/sockios.h, ethtool.h
const SIOCETHTOOL = 0x8946;
const ETHTOOL_GSTRINGS = 0x1b;
const ETHTOOL_GSSET_INFO = 0x37;
const ETHTOOL_SFEATURES = 0x3b;
const ETH_SS_FEATURES = 4;
const NAME_BYTES = 32;

/**
 * Makes a device send whole checksums and frames that fit the wire, and merge what it receives (GRO); as `ethtool -K DEVICE tx off tso off gso off
 * tx-udp_tnl-segmentation off … gro on`. What a device can't switch stays as it is.
 *
 * Without the tunnels' own segmentation a VXLAN packet of 64 KiB would cross uncut.
 *
 * @param netns where the device is.
 * @param device its name.
 */
export function sendFinishedFrames(netns: Netns, device: string): void {
  setFeatures(netns, device, (name) => {
    if (name === "rx-gro") return true;
    return /^tx-.*(?:segmentation|checksum)/.test(name) ? false : undefined;
  });
}

function setFeatures(netns: Netns, device: string, choose: (name: string) => boolean | undefined): void {
  const fd = netns.run(() => openSocket(constants.AF_INET, constants.SOCK_DGRAM));
  try {
    const names = featureNames(fd, device);
    const blocks = Math.ceil(names.length / 32);
    // struct ethtool_sfeatures: for each 32 features, which are valid and which of them are wanted.
    const request = new DataView(new SharedArrayBuffer(8 + blocks * 8));
    request.setUint32(0, ETHTOOL_SFEATURES, true);
    request.setUint32(4, blocks, true);
    for (const [i, name] of names.entries()) {
      const wanted = choose(name);
      if (wanted === undefined) continue;
      const at = 8 + Math.floor(i / 32) * 8;
      const bit = 1 << (i % 32);
      request.setUint32(at, request.getUint32(at, true) | bit, true);
      if (wanted) request.setUint32(at + 4, request.getUint32(at + 4, true) | bit, true);
    }
    ethtool(fd, device, request, "switch the offloads");
  } finally {
    closeFd(fd);
  }
}

function featureNames(fd: number, device: string): readonly string[] {
  const info = new DataView(new SharedArrayBuffer(24));
  info.setUint32(0, ETHTOOL_GSSET_INFO, true);
  info.setBigUint64(8, 1n << BigInt(ETH_SS_FEATURES), true);
  ethtool(fd, device, info, "count the offloads");
  const count = info.getUint32(16, true);
  const strings = new DataView(new SharedArrayBuffer(12 + count * NAME_BYTES));
  strings.setUint32(0, ETHTOOL_GSTRINGS, true);
  strings.setUint32(4, ETH_SS_FEATURES, true);
  strings.setUint32(8, count, true);
  ethtool(fd, device, strings, "list the offloads");
  // A copy: text is not decoded from shared memory.
  const text = new TextDecoder().decode(new Uint8Array(strings.buffer, 12).slice());
  return Array.from({ length: count }, (_, i) => {
    return text.slice(i * NAME_BYTES, (i + 1) * NAME_BYTES).replace(/\0.*$/s, "");
  });
}

/** What the kernel has an address of: nothing else would keep it during the call. */
let lent: DataView | undefined;

/** A struct ifreq that points to the request, which lies outside the JavaScript heap and stays there. */
function ethtool(fd: number, device: string, request: DataView, attempt: string): void {
  const ifreq = new Uint8Array(40);
  ifreq.set(new TextEncoder().encode(device));
  lent = request;
  new DataView(ifreq.buffer).setBigUint64(16, BigInt(addressOf(lent)), true);
  try {
    ioctl(fd, SIOCETHTOOL, ifreq, `${attempt} of ${device}`);
  } finally {
    lent = undefined;
  }
}
