import type { BackendEvent } from "@loden/backend";
import { crossings, openTestHosts, ping } from "@loden/rtnetlink/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { collectEvents, joinHosts, underlayOf } from "./vxlan-hosts.fixture.ts";

let undo: AsyncDisposableStack;
let events: BackendEvent[];

beforeEach(() => {
  undo = new AsyncDisposableStack();
  events = collectEvents(undo);
});

afterEach(() => undo.disposeAsync());

describe("openVxlanBackend() joins three hosts: ping, TCP and large UDP cross both ways with their own source", () => {
  test.each([
    ["IPv4", {}, 1450],
    ["dual stack", { enableIPv6: true }, 1430],
    ["another VNI, IANA's port, GBP and learning", { vni: 7, port: 4789, gbp: true, learning: true }, 1450],
    ["without checksum offload", { checksumOffload: false, enableIPv6: true }, 1430],
  ] as const)("%s", async (_, options, mtu) => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 3 }));
    const [first] = await joinHosts(undo, hosts, options);
    expect(first.backend.mtu).toBe(mtu);
    expect(await crossings(hosts, "enableIPv6" in options)).toEqual([]);
    expect(events).toEqual([]);
    const { outbound, inbound } = first.backend.stats();
    // Two transfers of 4 MiB each way, whole or cut into packets of the tunnel's size.
    for (const { bytes, packets } of [outbound, inbound]) {
      expect(bytes).toBeGreaterThan(8 * 1024 * 1024);
      expect(packets).toBeGreaterThan(100);
    }
  });

  test.each([
    ["IPv6", "ipv6", 1430],
    ["IPv4", "ipv4", 1450],
  ] as const)("dual stack on an underlay that is %s alone", async (_, families, mtu) => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 3 }));
    const [first] = await joinHosts(undo, hosts, (host) => ({
      enableIPv6: true,
      underlay: underlayOf(host, families),
    }));
    expect(first.backend.mtu).toBe(mtu);
    expect(await crossings(hosts, true)).toEqual([]);
  });

  test("jumbo frames: 8951 inside 9001", async () => {
    const { hosts } = undo.use(await openTestHosts({ hosts: 2, mtu: 9001 }));
    const [first] = await joinHosts(undo, hosts, (host) => ({
      underlay: { ...underlayOf(host), mtu: 9001 },
    }));
    expect(first.backend.mtu).toBe(8951);
    expect(await crossings(hosts, false)).toEqual([]);
    const [{ container }, other] = hosts;
    expect(await ping(container.netns, other.container.ipv4, { bytes: 8951 - 28 })).toBe(true);
  });
});
