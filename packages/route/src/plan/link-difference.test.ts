import { parseAddress } from "@loden/ip";
import { describe, expect, test } from "vitest";
import { linkDifference } from "./link-difference.ts";
import { link } from "./listed-objects.fixture.ts";

describe("linkDifference()", () => {
  const current = link("a", {
    kind: "vxlan",
    lower: "eth0",
    mac: "02:00:00:00:00:01",
    vxlan: { id: 1, local: parseAddress("192.0.2.1"), port: 8472, learning: false },
  });

  test.each([
    [{}, "same"],
    [{ lower: "eth0", vxlan: { id: 1, port: 8472, learning: false, gbp: false } }, "same"],
    [{ vxlan: { local: parseAddress("192.0.2.1") } }, "same"],
    [{ mac: "02:00:00:00:00:01".toUpperCase() }, "same"],
    [{ kind: undefined, vxlan: { id: 2 } }, "same"],
    [{ vxlan: { id: 2 } }, "recreate"],
    [{ vxlan: { local: parseAddress("192.0.2.2") } }, "recreate"],
    [{ vxlan: { port: 4789 } }, "recreate"],
    [{ vxlan: { learning: true } }, "recreate"],
    [{ vxlan: { gbp: true } }, "recreate"],
    [{ lower: "eth1" }, "recreate"],
    [{ kind: "bridge" }, "recreate"],
    [{ mtu: 1450 }, { mtu: 1450 }],
    [
      { mac: "02:00:00:00:00:02", up: false },
      { mac: "02:00:00:00:00:02", up: false },
    ],
    [{ master: "br0" }, { master: "br0" }],
    [{ addrGenMode: "none" as const }, "same"],
  ])("linkDifference() of %o is %o", (difference, expected) => {
    expect(linkDifference({ name: "a", kind: "vxlan", ...difference }, current)).toEqual(expected);
  });

  test("linkDifference() sets the address generation mode where the link has one", () => {
    expect(linkDifference({ name: "a", addrGenMode: "none" }, { ...current, addrGenMode: "eui64" })).toEqual({
      addrGenMode: "none",
    });
  });
});
