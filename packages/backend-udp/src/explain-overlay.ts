import type { Membership, Underlay } from "@loden/backend";
import type { Address } from "@loden/ip";
import type { Netns } from "@loden/netns";
import { formatStatePlan, LODEN_PROTOCOL as protocol, planState } from "@loden/route";
import { openRtnetlink, type Route } from "@loden/rtnetlink";
import { explainKernelPath } from "./kernel-path/explain-kernel-path.ts";
import { familiesOf } from "./join-overlay.ts";

/** What {@link explainOverlay} says. */
export interface ExplainOverlayOptions extends Membership {
  readonly netns?: Netns | undefined;
  /** Name or template of the device. */
  readonly deviceName?: string | undefined;
  /** Of the tunnel, in bytes. */
  readonly mtu: number;
  readonly underlay: Underlay;
  /** The IPv4 address that peers send to, where it is not the underlay's. */
  readonly publicIP?: Address | undefined;
  /** The UDP port of the network. */
  readonly port: number;
  /** As the backend has it. */
  readonly kernelPath?: "auto" | "off" | undefined;
}

/**
 * Says what `joinOverlay` would make, as commands that can be typed in, and makes nothing.
 *
 * @param options the lease, the network and the device.
 * @returns lines.
 */
export async function explainOverlay(options: ExplainOverlayOptions): Promise<string> {
  const { netns, deviceName = "loden%d", mtu } = options;
  using rtnetlink = openRtnetlink({ netns });
  const links = await rtnetlink.links.list();
  const device = firstFreeName(new Set(links.map(({ name }) => name)), deviceName);
  const families = familiesOf(options);
  // A new device has no routes yet, so whatever has the place of one of these is in the way.
  const plan = planState(
    { routes: families.map(({ overlay }): Route => ({ destination: overlay, link: device, protocol })) },
    { links, routes: await rtnetlink.routes.list() },
    { table: 254, protocol, links: [], ownsRoute: ({ link }) => link === device, expects: [device] },
  );
  const addresses = families.map(({ subnet: { address } }) => {
    return `ip address add ${address.toString()}/${address.family === 4 ? 32 : 128} dev ${device}`;
  });
  return [
    `ip tuntap add dev ${device} mode tun`,
    ...addresses,
    `ip link set dev ${device} mtu ${mtu} up`,
    `sysctl -w net.ipv4.conf.${device}.accept_local=1`,
    formatStatePlan(plan),
    ...(await explainKernelPath({ ...options, tun: device, rtnetlink })),
  ].join("\n");
}

/** The name that the kernel would make of a template. */
function firstFreeName(taken: ReadonlySet<string>, template: string): string {
  for (let number = 0; ; number++) {
    const name = template.replace("%d", String(number));
    if (name === template || !taken.has(name)) return name;
  }
}
