import { openUdpBackend } from "@loden/backend-udp";
import { type AddressFamily, parsePrefix } from "@loden/ip";
import type { Lease } from "@loden/lease";
import { openRtnetlink } from "@loden/rtnetlink";
import { parseNetworkConfig } from "@loden/subnet";
import { otherSide, outerAddress, type Side, UNDERLAY_MTU } from "../dataplane/addresses.ts";
import { buildTopology, type TopologyName } from "../dataplane/topology.ts";
import type { Pair, PairHost } from "./open-pair.ts";

const networks = {
  4: parseNetworkConfig(JSON.stringify({ Network: "100.60.0.0/16" })),
  6: parseNetworkConfig(JSON.stringify({ EnableIPv4: false, EnableIPv6: true, IPv6Network: "fd00:60::/48" })),
} as const;
const subnets = {
  4: { left: parsePrefix("100.60.1.0/24"), right: parsePrefix("100.60.2.0/24") },
  6: { left: parsePrefix("fd00:60:0:1::/64"), right: parsePrefix("fd00:60:0:2::/64") },
} as const;

/** What an overlay carries, and what carries it. */
export interface PairFamilies {
  readonly inner: AddressFamily;
  readonly outer: AddressFamily;
}

/**
 * Makes two hosts with Loden, peers of each other in an overlay of one family over an underlay of one.
 *
 * @param name what joins them. @param families which.
 * @returns the hosts; the caller closes them.
 */
export async function openLodenPair(name: TopologyName, families: PairFamilies): Promise<Pair> {
  const { inner: family, outer } = families;
  await using undo = new AsyncDisposableStack();
  const spaces = undo.adopt(new DisposableStack(), (stack) => stack.dispose());
  const { hosts } = await buildTopology(name, undefined, spaces);
  const open = async (side: Side): Promise<PairHost> => {
    const { netns, device } = hosts[side];
    const inner = subnets[family][side].address.plus(1);
    using rtnetlink = openRtnetlink({ netns });
    await rtnetlink.addresses.add({ link: "lo", address: inner, prefixLength: family === 4 ? 32 : 128 });
    const underlay = { link: device, mtu: UNDERLAY_MTU, [`ipv${outer}`]: outerAddress(side, outer) };
    const backend = undo.use(openUdpBackend({ netns, underlay }));
    await backend.join({ lease: leaseOf(side, families), network: networks[family] });
    await backend.apply([leaseOf(otherSide(side), families)]);
    return { netns, device, inner };
  };
  const pair = { left: await open("left"), right: await open("right") };
  const held = undo.move();
  return { hosts: pair, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

function leaseOf(side: Side, { inner, outer }: PairFamilies): Lease {
  const endpoint = outerAddress(side, outer);
  return {
    subnet: { [`ipv${inner}`]: subnets[inner][side] },
    attributes: { [outer === 4 ? "publicIP" : "publicIPv6"]: endpoint, backendType: "" },
    expiresAt: undefined,
    revision: "1",
  };
}
