import { readLinkFeatures } from "@loden/linux";
import type { Netns } from "@loden/netns";
import type { Rtnetlink } from "@loden/rtnetlink";
import { inNetns } from "../in-netns.ts";

/** What the kernel path has to know of the device between hosts. */
export interface UnderlayDevice {
  /** Its number. */
  readonly index: number;
  /** Its MTU in bytes. */
  readonly mtu: number;
  /**
   * Whether what it sends has whole checksums and fits its MTU. Most devices leave that to hardware, and some, such as veth, to whoever receives it: a packet
   * crosses whole then, with a checksum that nobody has finished.
   */
  readonly finishes: boolean;
  /** Whether it gathers what it receives (GRO). The pump takes bulk in large pieces then, which costs less than packet by packet in the kernel. */
  readonly gathers: boolean;
}

/** Features by which a device takes packets that are not finished, by their names for `ethtool`. */
const UNFINISHED = [
  "tx-checksum-ipv4",
  "tx-checksum-ip-generic",
  "tx-udp_tnl-segmentation",
  "tx-udp_tnl-csum-segmentation",
];

/** Six octets; tunnels over IP have an IP address in its place, and InfiniBand 20 octets. */
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;
/** What loopback has. */
const NO_MAC = "00:00:00:00:00:00";

/**
 * Looks at a device.
 *
 * @param rtnetlink of its namespace. @param netns the same. @param name the device's.
 * @returns what it is like, or in words why the kernel path can't use it.
 */
export async function readUnderlayDevice(
  rtnetlink: Rtnetlink,
  netns: Netns | undefined,
  name: string,
): Promise<UnderlayDevice | string> {
  const link = await rtnetlink.links.get(name);
  if (link === undefined) return `there is no device ${name}`;
  if (link.mac === undefined || !MAC.test(link.mac) || link.mac === NO_MAC)
    return `${name} is no Ethernet device`;
  const features = inNetns(netns, () => readLinkFeatures(name));
  return {
    index: link.index,
    mtu: link.mtu,
    finishes: !UNFINISHED.some((feature) => features.get(feature) === true),
    gathers: features.get("rx-gro") === true,
  };
}
