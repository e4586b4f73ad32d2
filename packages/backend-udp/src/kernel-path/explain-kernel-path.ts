import type { Membership, Underlay } from "@loden/backend";
import type { Address } from "@loden/ip";
import type { Netns } from "@loden/netns";
import type { Rtnetlink } from "@loden/rtnetlink";
import { reasonAgainst } from "./reason-against.ts";
import { readUnderlayDevice } from "./underlay-device.ts";

/** What {@link explainKernelPath} says. */
export interface ExplainKernelPathOptions extends Membership {
  readonly netns?: Netns | undefined;
  /** Of the same namespace. */
  readonly rtnetlink: Rtnetlink;
  readonly underlay: Underlay;
  /** The IPv4 address that peers send to, where it is not the underlay's. */
  readonly publicIP?: Address | undefined;
  /** The UDP port of the network. */
  readonly port: number;
  /** Name of the TUN device, which need not be there. */
  readonly tun: string;
  /** As the backend has it. */
  readonly kernelPath?: "auto" | "off" | undefined;
}

/**
 * Says which BPF programs would be attached where, or why none. What the kernel would say to them it is not asked.
 *
 * @param options the place.
 * @returns lines, each a comment.
 */
export async function explainKernelPath(options: ExplainKernelPathOptions): Promise<readonly string[]> {
  const { rtnetlink, netns, underlay, port, tun, lease, network } = options;
  const place = { ...options, subnet: lease.subnet.ipv4, prefixLength: network.ipv4?.subnetLength };
  const reason = reasonAgainst(place) ?? (await readUnderlayDevice(rtnetlink, netns, underlay.link));
  if (typeof reason === "string") return [`# kernel path: none, all packets through the pump: ${reason}`];
  return [
    "# kernel path: where the kernel allows it (Linux 6.6, CAP_BPF), BPF programs pass plain IPv4 packets on without the pump:",
    `#   loden_encap at the egress of ${tun}, loden_decap at the ingress of ${underlay.link}`,
    `#   they run before netfilter: firewall rules for UDP port ${port} don't see those datagrams`,
    "#   kernelPath off (lodend: --kernel-path off) leaves all packets to the pump",
  ];
}
