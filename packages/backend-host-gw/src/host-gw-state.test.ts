import { parseAddress, parsePrefix } from "@loden/ip";
import type { Lease, LeaseAttributes } from "@loden/lease";
import type { Reach } from "@loden/route";
import { formatRoute } from "@loden/rtnetlink";
import { parseNetworkConfig } from "@loden/subnet";
import { listPeerSubnets, type Membership, type Underlay } from "@loden/backend";
import { describe, expect, test } from "vitest";
import { hostGwState } from "./host-gw-state.ts";

const config =
  '{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48","Backend":{"Type":"host-gw"}}';
const underlay: Underlay = { link: "eth0", mtu: 1500, ipv4: parseAddress("192.0.2.1") };
const membership: Membership = {
  network: parseNetworkConfig(config),
  lease: leaseOf(1, { publicIP: parseAddress("192.0.2.1"), publicIPv6: parseAddress("2001:db8::1") }),
};
const peers = [2, 3].map((number) => leaseOf(number));

describe("hostGwState()", () => {
  test("gives the table of flannel's host-gw backend when peers are neighbours", () => {
    // Per lease: route subnet via PublicIP dev ext-iface, v6 likewise.
    expect(stateOf(peers).table).toEqual([
      "10.5.2.0/24 via 192.0.2.2 dev eth0",
      "fd00:5:0:2::/64 via 2001:db8::2 dev eth0",
      "10.5.3.0/24 via 192.0.2.3 dev eth0",
      "fd00:5:0:3::/64 via 2001:db8::3 dev eth0",
    ]);
  });

  test("gives onlink routes to hosts that no route leads to when that is wanted", () => {
    expect(stateOf(peers.slice(0, 1), { kind: "unreachable" }, true).table).toEqual([
      "10.5.2.0/24 via 192.0.2.2 dev eth0 onlink",
      "fd00:5:0:2::/64 via 2001:db8::2 dev eth0 onlink",
    ]);
  });

  test.each([
    [
      { kind: "router", link: "eth0", router: parseAddress("192.0.2.254") } as const,
      "is behind the router 192.0.2.254 on eth0",
    ],
    [{ kind: "neighbour", link: "eth1" } as const, "is a neighbour on eth1"],
    [{ kind: "unreachable" } as const, "is not reachable by any route"],
    [{ kind: "own" } as const, "is this host itself"],
    [undefined, "is not reachable by any route"],
  ])(
    "leaves out a peer that is no neighbour on the link, says why, and keeps the others: %j",
    (reach, text) => {
      const { table, skipped } = stateOf([leaseOf(9), ...peers], reach);
      expect(table).toHaveLength(5);
      expect(table.filter((route) => route.startsWith("10.5.9."))).toEqual([]);
      const reason = `its host 192.0.2.9 ${text}, expected a neighbour on eth0: host-gw needs all hosts on one link`;
      expect(skipped).toEqual([{ subnet: "10.5.9.0/24", reason }]);
    },
  );

  test("leaves out what was left out before", () => {
    const stranger = leaseOf(8, { backendType: "vxlan" });
    const reason = "it is of the vxlan backend and this host's is host-gw";
    expect(stateOf([stranger]).skipped).toEqual([{ subnet: "10.5.8.0/24 fd00:5:0:8::/64", reason }]);
  });
});

/** Everybody is a neighbour, but for 192.0.2.9. */
function stateOf(leases: readonly Lease[], reach?: Reach, onlink = false) {
  const listed = listPeerSubnets({ backendType: "host-gw", membership, peers: leases });
  const near = listed.subnets.map(
    ({ host }) => [host.toString(), { kind: "neighbour", link: "eth0" } as const] as const,
  );
  const answers = new Map<string, Reach>(near);
  if (reach === undefined) answers.delete("192.0.2.9");
  else answers.set("192.0.2.9", reach);
  const state = hostGwState({ underlay, listed, reach: answers, onlink });
  return { table: state.routes.map(formatRoute), skipped: state.peers.skipped };
}

function leaseOf(number: number, attributes: Partial<LeaseAttributes> = {}): Lease {
  return {
    subnet: { ipv4: parsePrefix(`10.5.${number}.0/24`), ipv6: parsePrefix(`fd00:5:0:${number}::/64`) },
    attributes: {
      publicIP: parseAddress(`192.0.2.${number}`),
      publicIPv6: parseAddress(`2001:db8::${number}`),
      backendType: "host-gw",
      ...attributes,
    },
    expiresAt: undefined,
    revision: "1",
  };
}
