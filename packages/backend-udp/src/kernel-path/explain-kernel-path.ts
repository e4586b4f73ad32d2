import type { Membership, Underlay } from "@loden/backend";
import type { Address } from "@loden/ip";
import type { Netns } from "@loden/netns";
import type { Rtnetlink } from "@loden/rtnetlink";
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
  const { rtnetlink, netns, underlay, port, tun } = options;
  const reason = reasonAgainst(options) ?? (await readUnderlayDevice(rtnetlink, netns, underlay.link));
  if (typeof reason === "string") return [`# kernel path: none, all packets through the pump: ${reason}`];
  return [
    "# kernel path: where the kernel allows it (Linux 6.6, CAP_BPF), BPF programs pass plain IPv4 packets on without the pump:",
    `#   loden_encap at the egress of ${tun}, loden_decap at the ingress of ${underlay.link}`,
    `#   they run before netfilter: firewall rules for UDP port ${port} don't see those datagrams`,
    "#   kernelPath off (lodend: --kernel-path off) leaves all packets to the pump",
  ];
}

function reasonAgainst(options: ExplainKernelPathOptions): string | undefined {
  const { kernelPath, lease, network, underlay, publicIP } = options;
  if (kernelPath === "off") return "it is switched off";
  if (lease.subnet.ipv4 === undefined || network.ipv4 === undefined) return "the host has no IPv4 subnet";
  if (underlay.ipv4 === undefined) return "the underlay has no IPv4 address";
  return publicIP?.equals(underlay.ipv4) === false
    ? "peers send to another address than the underlay's"
    : undefined;
}
