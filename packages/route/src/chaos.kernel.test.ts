import { parseAddress, parsePrefix } from "@loden/ip";
import type { KernelError } from "@loden/linux";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  becomes,
  type ChaosHost,
  chaosPeers,
  chaosState,
  createChaosHost,
  listed,
  ON_UNDERLAY,
  UNDERLAY,
} from "./chaos-host.fixture.ts";
import { formatObject } from "./plan/format-state-plan.ts";
import type { KernelState } from "./kernel-state.ts";
import { openKernelState } from "./open-kernel-state.ts";
import { StateApplyError } from "./state-errors.ts";

// The hosts are drawn in chaos-host.ts.
let host: ChaosHost;
let state: KernelState;

beforeEach(async () => {
  host = await createChaosHost();
  state = openKernelState({ netns: host.netns, links: ["loden.1", "loden-v6.1"], repair: true });
});

afterEach(() => {
  state.close();
  host[Symbol.dispose]();
});

const breaks: readonly (readonly [what: string, commands: string])[] = [
  ["deletes a route", "ip route delete 10.5.1.0/24 proto 76"],
  ["deletes an IPv6 route", "ip -6 route delete fd05:0:0:1::/64"],
  ["deletes a direct route", "ip route delete 10.5.101.0/24"],
  ["points a route elsewhere", "ip route replace 10.5.1.0/24 dev br9 proto 76"],
  ["flushes our routes", "ip route flush proto 76\nip -6 route flush proto 76"],
  ["adds a route with our number", "ip route add 10.5.77.0/24 dev br9 proto 76"],
  ["deletes a forwarding entry", "bridge fdb delete 02:00:00:00:24:01 dev loden.1 self"],
  [
    "sends a MAC address elsewhere",
    "bridge fdb replace 02:00:00:00:24:01 dev loden.1 dst 192.0.2.66 self permanent",
  ],
  ["adds a forwarding entry", "bridge fdb add 02:00:00:00:24:77 dev loden.1 dst 192.0.2.77 self permanent"],
  ["flushes the forwarding table", "bridge fdb flush dev loden.1"],
  ["deletes a neighbour", "ip neighbour delete 10.5.1.0 dev loden.1"],
  ["deletes an IPv6 neighbour", "ip neighbour delete fd05:0:0:1:: dev loden-v6.1"],
  [
    "gives a neighbour another MAC address",
    "ip neighbour replace 10.5.1.0 lladdr 02:00:00:00:24:77 dev loden.1 nud permanent",
  ],
  ["lets a neighbour age", "ip neighbour change 10.5.1.0 dev loden.1 nud stale"],
  ["adds a neighbour", "ip neighbour add 10.5.77.0 lladdr 02:00:00:00:24:77 dev loden.1 nud permanent"],
  ["deletes the address", "ip address delete 10.5.34.0/32 dev loden.1"],
  ["adds an address", "ip address add 10.5.77.1/24 dev loden.1"],
  ["changes the MAC address", "ip link set dev loden.1 address 02:00:00:00:24:77"],
  ["changes the MTU", "ip link set dev loden.1 mtu 1280"],
  ["changes the MTU to one without IPv6", "ip link set dev loden-v6.1 mtu 1000"],
  ["switches the device off", "ip link set dev loden.1 down"],
  ["flaps the device", "ip link set dev loden.1 down\nip link set dev loden.1 up"],
  ["deletes the device", "ip link delete dev loden.1"],
  ["deletes both devices", "ip link delete dev loden.1\nip link delete dev loden-v6.1"],
  [
    "puts another device in its place",
    "ip link delete dev loden.1\nip link add loden.1 up type vxlan id 77 dev eth0 dstport 8472",
  ],
  ["puts a bridge in its place", "ip link delete dev loden.1\nip link add loden.1 type bridge"],
  ["flaps the underlay", `ip link set dev eth0 down\nip link set dev eth0 up\n${ON_UNDERLAY}`],
  [
    "takes the underlay's addresses away and gives them back",
    `ip address flush dev eth0\nip address add 192.0.2.1/24 dev eth0\n${ON_UNDERLAY}`,
  ],
  ["removes the underlay and makes it again", `ip link delete dev eth0\n${UNDERLAY}${ON_UNDERLAY}`],
];

describe("repair", () => {
  test.each(breaks)(
    "the state is right again, and others' as it was, when somebody %s",
    async (_, commands) => {
      const events = state.watch();
      await state.apply(chaosState());
      const wanted = await listed(state);
      const others = host.foreign();
      host.run(commands);
      await becomes(state, events, wanted);
      // The kernel itself is not done with links that went down and up.
      await expect.poll(() => host.foreign()).toEqual(others);
      const nothing = { added: [], replaced: [], removed: [] };
      expect(await state.apply(chaosState())).toEqual(nothing);
    },
  );

  test("what fails while the underlay is away is had when it is back", async () => {
    const events = state.watch();
    await state.apply(chaosState());
    const wanted = await listed(state);
    host.run("ip link delete dev eth0");
    const types = new Set<string>();
    for await (const event of events) {
      types.add(event.type);
      if (event.type === "failed" && event.object.type === "link") break;
    }
    expect(types.has("removed")).toBe(true);
    expect(await listed(state)).toEqual([]);
    const again = state.watch();
    host.run(UNDERLAY + ON_UNDERLAY);
    await becomes(state, again, wanted);
  });

  test("everything is had again after more notifications than the socket holds", async () => {
    const events = state.watch();
    const lossy = host.kernel.watch(["routes"]);
    await state.apply(chaosState());
    const wanted = await listed(state);
    const others = host.foreign();
    const flood = Array.from({ length: 20_000 }, (_, index) => `172.16.${index >> 8}.${index & 255}/32`);
    // Nobody reads meanwhile: this process waits for the other.
    host.run(
      "ip -batch -",
      [
        ...flood.map((destination) => `route add ${destination} dev br9 proto 4`),
        "route delete 10.5.1.0/24 proto 76",
        "neighbour delete 10.5.2.0 dev loden.1",
        "link set dev loden-v6.1 down",
        ...flood.map((destination) => `route delete ${destination} dev br9 proto 4`),
      ].join("\n"),
    );
    await becomes(state, events, wanted);
    expect(host.foreign()).toEqual(others);
    let isLost = false;
    for await (const event of lossy) if ((isLost = event.type === "overrun")) break;
    expect(isLost).toBe(true);
  });
});

describe("apply()", () => {
  test("apply() makes the device again and programs everything when the underlay's MTU and address change", async () => {
    await state.apply(chaosState());
    host.run(`
      ip link set dev eth0 mtu 1400
      ip address delete 192.0.2.1/24 dev eth0
      ip address add 192.0.2.2/24 dev eth0
    `);
    host.run(ON_UNDERLAY);
    const others = host.foreign();
    await state.apply(chaosState(chaosPeers, { mtu: 1400, ipv4: "192.0.2.2" }));
    using clean = await createChaosHost();
    using first = openKernelState({ netns: clean.netns, links: ["loden.1", "loden-v6.1"] });
    await first.apply(chaosState(chaosPeers, { mtu: 1400, ipv4: "192.0.2.2" }));
    expect(await listed(state)).toEqual(await listed(first));
    expect(host.foreign()).toEqual(others);
  });

  test("apply() leaves nothing stale and loses nothing of others' when peers died, joined and swapped places meanwhile", async () => {
    const others = host.foreign();
    await state.apply(chaosState());
    state.close();
    host.run(`
      ip route add 10.77.0.0/16 dev br9 proto 76
      bridge fdb add 02:00:00:00:24:77 dev loden.1 dst 192.0.2.77 self permanent
    `);
    // Peer 1 is gone, 4 is new, and each of 2 and 3 has the other's subnet.
    const peers = [{ number: 2, device: 3 }, { number: 3, device: 2 }, { number: 4 }];
    state = openKernelState({ netns: host.netns, links: ["loden.1", "loden-v6.1"], repair: true });
    await state.apply(chaosState(peers));
    using clean = await createChaosHost();
    using first = openKernelState({ netns: clean.netns, links: ["loden.1", "loden-v6.1"] });
    await first.apply(chaosState(peers));
    expect(await listed(state)).toEqual(await listed(first));
    expect(host.foreign()).toEqual(others);
  });

  test("apply() is not kept from the others by a peer that cannot be had", async () => {
    const good = chaosState();
    const { fdb = [], routes = [] } = good;
    const link = "loden.1";
    const mac = "02:00:00:00:24:66";
    const destination = parsePrefix("10.5.66.0/24");
    const error = await state
      .apply({
        ...good,
        fdb: [
          { link, mac, destination: parseAddress("2001:db8::66") },
          { link, mac: fdb[0]!.mac, destination: parseAddress("192.0.2.66") },
          ...fdb,
        ],
        routes: [
          { destination, gateway: parseAddress("203.0.113.1"), link: "eth0" },
          { destination: parsePrefix("10.5.67.0/24"), link: "nowhere" },
          ...routes,
        ],
      })
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StateApplyError);
    const codes = (error as StateApplyError).failures.map(({ error: each }) => (each as KernelError).code);
    expect(codes.toSorted()).toEqual(["EAFNOSUPPORT", "ENETUNREACH", "ENODEV", "ERR_STATE_CONFLICT"]);
    expect((error as StateApplyError).changes.added).toHaveLength(28);
  });

  test("apply() deletes a device of a name that is no longer wanted before it makes the next", async () => {
    host.run("ip link add flannel.1 up type vxlan id 1 dev eth0 local 192.0.2.1 dstport 8472");
    state.close();
    state = openKernelState({ netns: host.netns, links: ["flannel.1", "loden.1", "loden-v6.1"] });
    await state.apply(chaosState());
    expect(await host.kernel.links.get("flannel.1")).toBeUndefined();
    expect(await listed(state)).toHaveLength(28);
  });
});

describe("clear()", () => {
  test("clear() removes what a crashed process left, and nothing else, when it knows nothing of it", async () => {
    const others = host.foreign();
    await state.apply(chaosState());
    state.close();
    state = openKernelState({ netns: host.netns, links: ["loden.1", "loden-v6.1"], repair: true });
    const { removed } = await state.clear();
    expect(removed.map(formatObject).filter((text) => text.startsWith("link"))).toHaveLength(2);
    expect(await listed(state)).toEqual([]);
    expect(host.foreign()).toEqual(others);
    expect(await state.clear()).toEqual({ added: [], replaced: [], removed: [] });
  });
});
