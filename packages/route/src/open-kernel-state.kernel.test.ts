import { parseAddress, parsePrefix } from "@loden/ip";
import { createNetns, type Netns } from "@loden/netns";
import { openRtnetlink, type Rtnetlink } from "@loden/rtnetlink";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { DesiredState } from "./desired-state.ts";
import { formatObject } from "./format-state-plan.ts";
import type { KernelState, StateChanges } from "./kernel-state.ts";
import { openKernelState } from "./open-kernel-state.ts";

// +--------- host ----------+        +- other -+
// | loden.1 (made by tests) |        |         |
// | eth0 192.0.2.1/24       |--veth--| eth0    |
// | eth0 2001:db8::1/64     |        |         |
// +-------------------------+        +---------+
let host: Netns;
let other: Netns;
let kernel: Rtnetlink;

beforeEach(async () => {
  host = createNetns();
  other = createNetns();
  kernel = openRtnetlink({ netns: host });
  const quiet = { addrGenMode: "none", up: true } as const;
  await kernel.links.add({
    name: "eth0",
    kind: "veth",
    ...quiet,
    peer: { name: "eth0", netns: other, ...quiet },
  });
  await kernel.addresses.add({ link: "eth0", address: parseAddress("192.0.2.1"), prefixLength: 24 });
  await kernel.addresses.add({
    link: "eth0",
    address: parseAddress("2001:db8::1"),
    prefixLength: 64,
    duplicateDetection: false,
  });
});

afterEach(() => {
  kernel.close();
  host.close();
  other.close();
});

const peers = [
  { subnet: "10.5.1.0", mac: "02:00:00:00:00:01", publicIP: "192.0.2.11" },
  { subnet: "10.5.2.0", mac: "02:00:00:00:00:02", publicIP: "192.0.2.12" },
];

/** The state of a VXLAN host with these peers (flannel.md, section 7). */
function vxlanState(of: readonly (typeof peers)[number][] = peers): Required<DesiredState> {
  const link = "loden.1";
  return {
    links: [
      {
        name: link,
        kind: "vxlan",
        lower: "eth0",
        mtu: 1450,
        mac: "02:00:00:00:00:aa",
        addrGenMode: "none",
        vxlan: { id: 1, local: parseAddress("192.0.2.1"), port: 8472, learning: false },
      },
    ],
    addresses: [{ link, address: parseAddress("10.5.34.0"), prefixLength: 32 }],
    neighbours: of.map(({ subnet, mac }) => ({ link, address: parseAddress(subnet), mac })),
    fdb: of.map(({ mac, publicIP }) => ({ link, mac, destination: parseAddress(publicIP) })),
    routes: of.map(({ subnet }) => ({
      destination: parsePrefix(`${subnet}/24`),
      gateway: parseAddress(subnet),
      link,
      onlink: true,
    })),
  };
}

const asDesired = [
  "address 10.5.34.0/32 dev loden.1",
  "fdb 02:00:00:00:00:01 dev loden.1 dst 192.0.2.11 self permanent",
  "fdb 02:00:00:00:00:02 dev loden.1 dst 192.0.2.12 self permanent",
  "neighbour 10.5.1.0 lladdr 02:00:00:00:00:01 dev loden.1 nud permanent",
  "neighbour 10.5.2.0 lladdr 02:00:00:00:00:02 dev loden.1 nud permanent",
  "route 10.5.1.0/24 via 10.5.1.0 dev loden.1 proto 76 onlink",
  "route 10.5.2.0/24 via 10.5.2.0 dev loden.1 proto 76 onlink",
];

describe("apply()", () => {
  test("apply() makes the device of a VXLAN host and what each peer needs, and does nothing again", async () => {
    using state = openKernelState({ netns: host, links: ["loden.1"] });
    const changes = await state.apply(vxlanState());
    expect(changes.added).toHaveLength(8);
    expect(await listed(state)).toEqual(asDesired);
    expect(counts(await state.apply(vxlanState()))).toEqual([0, 0, 0]);
    expect(counts(await state.apply({ ...vxlanState(peers.slice(0, 1)) }))).toEqual([0, 0, 3]);
    expect(counts(await state.clear())).toEqual([0, 0, 1]);
    expect(await state.list()).toEqual([]);
  });
});

/** What is ours but for the link, in words. */
async function listed(state: KernelState): Promise<string[]> {
  const objects = await state.list();
  return objects
    .filter(({ type }) => type !== "link")
    .map(formatObject)
    .toSorted();
}

function counts({ added, replaced, removed }: StateChanges): number[] {
  return [added.length, replaced.length, removed.length];
}
