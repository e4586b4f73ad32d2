import { parseAddress, parsePrefix } from "@loden/ip";
import type { Lease, LeaseAttributes } from "@loden/lease";
import { parseNetworkConfig } from "@loden/subnet";
import { describe, expect, test } from "vitest";
import { leaveOut, listPeerSubnets, type Membership } from "./index.ts";

const config = '{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48"}';
const membership: Membership = {
  network: parseNetworkConfig(config),
  lease: leaseOf("10.5.1.0/24 fd00:5:0:1::/64", { publicIP: parseAddress("192.0.2.1") }),
};

describe("listPeerSubnets()", () => {
  test("gives both families of peers in a network of two, and the public address of each", () => {
    const both = { publicIP: parseAddress("192.0.2.2"), publicIPv6: parseAddress("2001:db8::2") };
    expect(list([leaseOf("10.5.2.0/24 fd00:5:0:2::/64", both), leaseOf("10.5.3.0/24")])).toEqual([
      "10.5.2.0/24 at 192.0.2.2",
      "fd00:5:0:2::/64 at 2001:db8::2",
      "10.5.3.0/24 at 192.0.2.9",
    ]);
  });

  test("leaves out a family that this host has not", () => {
    const own = { ...membership, lease: leaseOf("10.5.1.0/24", { publicIP: parseAddress("192.0.2.1") }) };
    expect(list([leaseOf("10.5.2.0/24 fd00:5:0:2::/64")], own)).toEqual(["10.5.2.0/24 at 192.0.2.9"]);
  });

  test("takes addresses of the other family where the underlay is of that one", () => {
    const attributes = { publicIP: undefined, publicIPv6: parseAddress("2001:db8::2") };
    const peers = [leaseOf("10.5.2.0/24", attributes)];
    const { subnets } = listPeerSubnets({ backendType: "host-gw", membership, peers, outerFamily: () => 6 });
    expect(subnets.map(({ host }) => host.toString())).toEqual(["2001:db8::2"]);
  });

  test.each([
    [
      "is of another backend",
      leaseOf("10.5.2.0/24", { backendType: "vxlan" }),
      "it is of the vxlan backend and this host's is host-gw",
    ],
    [
      "says no type",
      leaseOf("10.5.2.0/24", { backendType: "" }),
      "it is of a backend that says no type, as udp, and this host's is host-gw",
    ],
    [
      "publishes no address",
      leaseOf("10.5.2.0/24", { publicIP: undefined }),
      "it publishes no IPv4 address to send to",
    ],
    [
      "publishes ours",
      leaseOf("10.5.2.0/24", { publicIP: parseAddress("192.0.2.1") }),
      "it publishes this host's own address, 192.0.2.1",
    ],
    ["claims what is outside", leaseOf("10.6.2.0/24"), "its subnet lies outside the network"],
    ["claims more than there is", leaseOf("0.0.0.0/0"), "its subnet lies outside the network"],
    ["claims what is ours", leaseOf("10.5.0.0/20"), "its subnet overlaps this host's own, 10.5.1.0/24"],
    [
      "begins where another does",
      leaseOf("10.5.9.0/25"),
      "its first address is that of 10.5.9.0/24, which another peer has",
    ],
  ])("leaves out a peer that %s, and keeps the others", (_, peer, reason) => {
    const { subnets, skipped } = listPeerSubnets({
      backendType: "host-gw",
      membership,
      peers: [leaseOf("10.5.9.0/24"), peer, leaseOf("10.5.10.0/24")],
    });
    expect(subnets.map(({ prefix }) => prefix.toString())).toEqual(["10.5.9.0/24", "10.5.10.0/24"]);
    expect(skipped).toEqual([{ subnet: peer.subnet.ipv4?.toString(), reason }]);
  });
});

describe("leaveOut()", () => {
  test("moves what has a reason to what is left out before, in order", () => {
    const peers = [leaseOf("10.6.2.0/24"), leaseOf("10.5.2.0/24"), leaseOf("10.5.3.0/24")];
    const listed = listPeerSubnets({ backendType: "host-gw", membership, peers });
    const left = leaveOut(listed, ({ prefix }) =>
      prefix.contains(parseAddress("10.5.2.1")) ? "no" : undefined,
    );
    expect(left.subnets.map(({ prefix }) => prefix.toString())).toEqual(["10.5.3.0/24"]);
    expect(left.skipped.map(({ reason }) => reason)).toEqual(["its subnet lies outside the network", "no"]);
    expect(listed.subnets).toHaveLength(2);
  });
});

function list(peers: readonly Lease[], own: Membership = membership): string[] {
  const { subnets } = listPeerSubnets({ backendType: "host-gw", membership: own, peers });
  return subnets.map(({ prefix, host }) => `${prefix.toString()} at ${host.toString()}`);
}

function leaseOf(subnet: string, attributes: Partial<LeaseAttributes> = {}): Lease {
  const [ipv4 = "", ipv6] = subnet.split(" ");
  return {
    subnet: { ipv4: parsePrefix(ipv4), ...(ipv6 !== undefined && { ipv6: parsePrefix(ipv6) }) },
    attributes: { publicIP: parseAddress("192.0.2.9"), backendType: "host-gw", ...attributes },
    expiresAt: undefined,
    revision: "1",
  };
}
