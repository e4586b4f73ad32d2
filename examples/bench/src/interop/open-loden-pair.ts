import { openUdpBackend } from "@loden/backend-udp";
import { parseAddress, parsePrefix } from "@loden/ip";
import type { Lease } from "@loden/lease";
import { openRtnetlink } from "@loden/rtnetlink";
import { parseNetworkConfig } from "@loden/subnet";
import { otherSide, outerAddress, type Side, UNDERLAY_MTU } from "../dataplane/addresses.ts";
import { buildTopology, type TopologyName } from "../dataplane/topology.ts";
import type { Pair, PairHost } from "./open-pair.ts";

const network = parseNetworkConfig(
  JSON.stringify({ EnableIPv4: false, EnableIPv6: true, IPv6Network: "fd00:60::/48" }),
);
const numbers = { left: 1, right: 2 } as const;

/**
 * Makes two hosts with Loden, peers of each other in an overlay of IPv6 over an underlay of IPv4.
 *
 * @param name what joins them.
 * @returns the hosts; the caller closes them.
 */
export async function openIpv6Pair(name: TopologyName): Promise<Pair> {
  await using undo = new AsyncDisposableStack();
  const spaces = undo.adopt(new DisposableStack(), (stack) => stack.dispose());
  const { hosts } = await buildTopology(name, undefined, spaces);
  const open = async (side: Side): Promise<PairHost> => {
    const { netns, device } = hosts[side];
    const inner = parseAddress(`fd00:60:0:${numbers[side]}::1`);
    using rtnetlink = openRtnetlink({ netns });
    await rtnetlink.addresses.add({ link: "lo", address: inner, prefixLength: 128 });
    const underlay = { link: device, mtu: UNDERLAY_MTU, ipv4: outerAddress(side) };
    const backend = undo.use(openUdpBackend({ netns, underlay }));
    await backend.join({ lease: leaseOf(side), network });
    await backend.apply([leaseOf(otherSide(side))]);
    return { netns, device, inner };
  };
  const pair = { left: await open("left"), right: await open("right") };
  const held = undo.move();
  return { hosts: pair, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

function leaseOf(side: Side): Lease {
  return {
    subnet: { ipv6: parsePrefix(`fd00:60:0:${numbers[side]}::/64`) },
    attributes: { publicIP: outerAddress(side), backendType: "" },
    expiresAt: undefined,
    revision: "1",
  };
}
