import type { BackendStats } from "@loden/backend";
import { type NodeState, udpBackendOf } from "@loden/lodend";
import type { ListedRoute, Rtnetlink } from "@loden/rtnetlink";
import { formatSubnet } from "@loden/subnet";
import type { HostView } from "./lab-view.ts";

/** Route protocol number of Loden. */
export const PROTOCOL = 76;

/** What {@link viewOf} looks at. */
export interface Shown {
  readonly name: string;
  readonly state: HostView["state"];
  readonly node: NodeState;
  /** Of the host's namespace. */
  readonly rtnetlink: Pick<Rtnetlink, "routes">;
}

/**
 * Reads what the screen shows of a host.
 *
 * @param shown the host.
 */
export async function viewOf({ name, state, node, rtnetlink }: Shown): Promise<HostView> {
  const { backend, lease } = node;
  const stats = backend.stats();
  const { publicIP, publicIPv6 } = backend.attributes;
  const routes = state === "stopped" ? [] : await rtnetlink.routes.list({ protocol: PROTOCOL });
  return {
    name,
    state,
    publicIP: [publicIP, publicIPv6].filter((address) => address !== undefined).join(" "),
    subnet: formatSubnet(lease.subnet),
    device: backend.deviceNames.join(" ") || undefined,
    mtu: backend.mtu,
    kernelPath: state === "up" ? udpBackendOf(backend)?.kernelPath : undefined,
    peers: state === "stopped" ? 0 : stats.peers,
    routes: routes.map(textOf),
    sent: stats.outbound,
    received: stats.inbound,
    drops: allDrops(stats),
  };
}

function textOf({ destination, gateway, link }: ListedRoute): string {
  return `${destination.toString()}${gateway === undefined ? "" : ` via ${gateway.toString()}`} dev ${link}`;
}

function allDrops({ outbound, inbound }: BackendStats): Record<string, number> {
  const sum: Record<string, number> = { ...outbound.dropped };
  for (const [reason, count] of Object.entries(inbound.dropped)) sum[reason] = (sum[reason] ?? 0) + count;
  return sum;
}
