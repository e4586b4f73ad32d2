import { parseAddress, parsePrefix } from "@loden/ip";
import { describe, expect, test } from "vitest";
import { formatStatePlan } from "./format-state-plan.ts";
import { address, link, neighbour, route } from "./listed-objects.fixture.ts";
import { planState } from "./plan-state.ts";
import type { StateScope } from "../state-scope.ts";

const OURS = 76;
const scope: StateScope = { links: ["a", "b"], table: 254, protocol: OURS };

describe("formatStatePlan()", () => {
  test("formatStatePlan() writes the commands in the order in which they are carried out", () => {
    const plan = planState(
      {
        links: [
          {
            name: "a",
            kind: "vxlan",
            lower: "eth0",
            mtu: 1450,
            mac: "02:00:00:00:00:aa",
            addrGenMode: "none",
            vxlan: { id: 1, local: parseAddress("192.0.2.1"), port: 8472, learning: false },
          },
        ],
        addresses: [{ link: "a", address: parseAddress("10.5.34.0"), prefixLength: 32 }],
        neighbours: [{ link: "a", address: parseAddress("10.5.1.0"), mac: "02:00:00:00:00:01" }],
        fdb: [{ link: "a", mac: "02:00:00:00:00:01", destination: parseAddress("192.0.2.11") }],
        routes: [
          {
            destination: parsePrefix("10.5.1.0/24"),
            gateway: parseAddress("10.5.1.0"),
            link: "a",
            onlink: true,
          },
          { destination: parsePrefix("10.5.2.0/24"), gateway: parseAddress("192.0.2.12"), link: "gone" },
          { destination: parsePrefix("10.5.3.0/24"), link: "a" },
        ],
      },
      {
        links: [link("eth0"), link("a", { mtu: 1400, kind: "vxlan", vxlan: { id: 2 } }), link("b")],
        addresses: [],
        neighbours: [],
        fdb: [],
        routes: [
          route("10.5.9.0/24", { link: "eth0", protocol: OURS }),
          route("10.5.3.0/24", { link: "eth0", protocol: 4 }),
        ],
      },
      scope,
    );
    expect(formatStatePlan(plan).split("\n")).toEqual([
      "ip link delete dev a",
      "ip link delete dev b",
      "ip link add a mtu 1450 address 02:00:00:00:00:aa type vxlan id 1 dev eth0 local 192.0.2.1 dstport 8472 nolearning",
      "ip link set dev a addrgenmode none",
      "ip link set dev a up",
      "ip address add 10.5.34.0/32 dev a",
      "ip neighbour add 10.5.1.0 lladdr 02:00:00:00:00:01 dev a nud permanent",
      "bridge fdb add 02:00:00:00:00:01 dev a dst 192.0.2.11 self permanent",
      "ip route add 10.5.1.0/24 via 10.5.1.0 dev a proto 76 onlink",
      "ip route delete 10.5.9.0/24 dev eth0 proto 76 scope link",
      "# conflict: route 10.5.3.0/24 dev a proto 76, which is taken by route 10.5.3.0/24 dev eth0 proto static scope link",
      "# waiting for link gone: route 10.5.2.0/24 via 192.0.2.12 dev gone",
      "",
    ]);
  });

  test("formatStatePlan() writes what is changed in place", () => {
    const plan = planState(
      {
        links: [{ name: "a", kind: "bridge", mtu: 1400, mac: "02:00:00:00:00:01" }],
        addresses: [],
        neighbours: [{ link: "a", address: parseAddress("10.5.1.0"), mac: "02:00:00:00:00:01" }],
      },
      {
        links: [link("a", { kind: "bridge", up: false, mac: "02:00:00:00:00:02" })],
        addresses: [address("a", "10.5.34.0")],
        neighbours: [neighbour("a", "10.5.1.0", "02:00:00:00:00:02", "permanent")],
        routes: [],
      },
      scope,
    );
    expect(formatStatePlan(plan).split("\n")).toEqual([
      "ip link set dev a up mtu 1400 address 02:00:00:00:00:01",
      "ip neighbour replace 10.5.1.0 lladdr 02:00:00:00:00:01 dev a nud permanent",
      "ip address delete 10.5.34.0/32 dev a",
      "",
    ]);
  });
});
