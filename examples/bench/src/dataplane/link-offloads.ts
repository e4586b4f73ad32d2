import { setLinkFeatures } from "@loden/linux";
import type { Netns } from "@loden/netns";

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
  netns.run(() =>
    setLinkFeatures(device, (name) => {
      if (name === "rx-gro") return true;
      return /^tx-.*(?:segmentation|checksum)/.test(name) ? false : undefined;
    }),
  );
}
