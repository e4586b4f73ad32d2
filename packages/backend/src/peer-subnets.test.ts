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

const ipv4Only: Membership = {
  network: parseNetworkConfig('{"Network":"10.5.0.0/16"}'),
  lease: leaseOf("10.5.1.0/24", { publicIP: parseAddress("192.0.2.1") }),
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

  test.each<[string, Lease, string]>([
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
    [
      "claims what is outside",
      leaseOf("10.6.2.0/24"),
      "its subnet lies outside the network, expected a part of 10.5.0.0/16",
    ],
    [
      "claims more than there is",
      leaseOf("0.0.0.0/0"),
      "its subnet lies outside the network, expected a part of 10.5.0.0/16",
    ],
    ["claims what is ours", leaseOf("10.5.0.0/20"), "its subnet overlaps this host's own, 10.5.1.0/24"],
    ...["10.5.9.0/25", "10.5.9.128/25", "10.5.8.0/23", "10.5.9.0/24 fd00:5:0:9::/64"].map(
      (subnet): [string, Lease, string] => [
        `has ${subnet}, which overlaps another's`,
        leaseOf(subnet),
        "its subnet overlaps 10.5.9.0/24, which another peer has",
      ],
    ),
    ["publishes nothing but zero", at("0.0.0.0"), "it publishes no IPv4 address to send to"],
    ...["127.0.0.1", "224.0.0.5", "255.255.255.255", "0.1.2.3", "2001:db8::9"].map(
      (address): [string, Lease, string] => [
        `publishes ${address}`,
        at(address),
        `it publishes ${address}, expected the IPv4 address of a host`,
      ],
    ),
    [
      "publishes an address inside of its own subnet",
      at("10.5.2.7"),
      "it publishes 10.5.2.7, which lies in its own subnet, expected an address that is reached without it",
    ],
    [
      "is of a family that this host has not",
      { ...leaseOf("10.5.2.0/24"), subnet: { ipv6: parsePrefix("fd00:5:0:2::/64") } },
      "it has no subnet of a family that this host has, expected IPv4",
    ],
  ])("leaves out a peer that %s, and keeps the others, wherever it stands", (_, peer, reason) => {
    const others = [leaseOf("10.5.9.0/24"), leaseOf("10.5.10.0/24")];
    for (const peers of [
      [peer, ...others],
      [...others, peer],
    ]) {
      const { subnets, skipped } = listPeerSubnets({ backendType: "host-gw", membership: ipv4Only, peers });
      expect(subnets.map(({ prefix }) => prefix.toString())).toEqual(["10.5.9.0/24", "10.5.10.0/24"]);
      const { subnet } = peer;
      expect(skipped).toEqual([{ subnet: (subnet.ipv4 ?? subnet.ipv6)?.toString(), reason }]);
    }
  });

  test.each(["::1", "ff02::1", "fe80::9", "::ffff:192.0.2.9", "192.0.2.9"])(
    "leaves out the IPv6 subnet of a peer that publishes %s, and keeps its IPv4 subnet",
    (address) => {
      const peer = leaseOf("10.5.2.0/24 fd00:5:0:2::/64", { publicIPv6: parseAddress(address) });
      expect(list([peer])).toEqual(["10.5.2.0/24 at 192.0.2.9"]);
    },
  );

  test("takes subnets of another size than the network gives out where they overlap nobody's", () => {
    const peers = [leaseOf("10.5.4.0/23"), leaseOf("10.5.3.0/24"), leaseOf("10.5.5.0/26")];
    expect(list(peers, ipv4Only)).toEqual(["10.5.3.0/24 at 192.0.2.9", "10.5.4.0/23 at 192.0.2.9"]);
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
    expect(left.skipped.map(({ reason }) => reason)).toEqual([
      "its subnet lies outside the network, expected a part of 10.5.0.0/16",
      "no",
    ]);
    expect(listed.subnets).toHaveLength(2);
  });
});

function list(peers: readonly Lease[], own: Membership = membership): string[] {
  const { subnets } = listPeerSubnets({ backendType: "host-gw", membership: own, peers });
  return subnets.map(({ prefix, host }) => `${prefix.toString()} at ${host.toString()}`);
}

function at(publicIP: string): Lease {
  return leaseOf("10.5.2.0/24", { publicIP: parseAddress(publicIP) });
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
