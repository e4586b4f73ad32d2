import { openUdpBackend, type UdpBackend, type UdpBackendOptions } from "@loden/backend-udp";
import { type AddressFamily, parsePrefix } from "@loden/ip";
import type { JsonValue, Lease } from "@loden/lease";
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

/** Families, and Loden's setting. */
export interface LodenPairOptions extends PairFamilies, Pick<UdpBackendOptions, "kernelPath"> {}

/** A pair with Loden on both hosts. */
export interface LodenPair extends Pair {
  readonly backends: Readonly<Record<Side, UdpBackend>>;
}

/**
 * Makes two hosts with Loden, peers of each other in an overlay of one family over an underlay of one.
 *
 * @param name what joins them. @param options which.
 * @returns the hosts; the caller closes them.
 */
export async function openLodenPair(name: TopologyName, options: LodenPairOptions): Promise<LodenPair> {
  const { inner: family, outer, kernelPath } = options;
  await using undo = new AsyncDisposableStack();
  const spaces = undo.adopt(new DisposableStack(), (stack) => stack.dispose());
  const { hosts } = await buildTopology(name, undefined, spaces);
  const open = async (side: Side): Promise<{ readonly host: PairHost; readonly backend: UdpBackend }> => {
    const { netns, device } = hosts[side];
    const inner = subnets[family][side].address.plus(1);
    using rtnetlink = openRtnetlink({ netns });
    await rtnetlink.addresses.add({ link: "lo", address: inner, prefixLength: family === 4 ? 32 : 128 });
    const underlay = { link: device, mtu: UNDERLAY_MTU, [`ipv${outer}`]: outerAddress(side, outer) };
    const backend = undo.use(openUdpBackend({ netns, underlay, kernelPath }));
    await backend.join({ lease: leaseOf(side, options), network: networks[family] });
    return { host: { netns, device, inner }, backend };
  };
  const [left, right] = [await open("left"), await open("right")];
  const backends = { left: left.backend, right: right.backend };
  for (const side of ["left", "right"] as const) {
    // What a host publishes is known once it has joined.
    const { backendData } = backends[otherSide(side)].attributes;
    await backends[side].apply([leaseOf(otherSide(side), options, backendData)]);
  }
  const held = undo.move();
  return {
    hosts: { left: left.host, right: right.host },
    backends,
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

function leaseOf(side: Side, { inner, outer }: PairFamilies, backendData?: JsonValue): Lease {
  const endpoint = outerAddress(side, outer);
  return {
    subnet: { [`ipv${inner}`]: subnets[inner][side] },
    attributes: { [outer === 4 ? "publicIP" : "publicIPv6"]: endpoint, backendType: "", backendData },
    expiresAt: undefined,
    revision: "1",
  };
}
