import { parseAddress } from "@loden/ip";
import { KernelError } from "@loden/linux";
import { createNetns, type Netns } from "@loden/netns";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openRtnetlink, type Rtnetlink } from "../open-rtnetlink.ts";

// +---- left -----+        +---- right ----+
// | (made by the  |- veth -| (made by the  |
// |  tests)       |        |  tests)       |
// +---------------+        +---------------+
let left: Netns;
let right: Netns;
let kernel: Rtnetlink;
let far: Rtnetlink;

beforeEach(() => {
  left = createNetns();
  right = createNetns();
  kernel = openRtnetlink({ netns: left });
  far = openRtnetlink({ netns: right });
});

afterEach(() => {
  kernel.close();
  far.close();
  left.close();
  right.close();
});

describe("links", () => {
  test("links.add() makes VXLAN devices over a link, and bridges, with their settings", async () => {
    await kernel.links.add({ name: "eth0", kind: "veth", peer: { name: "eth0", netns: right } });
    const vxlan = {
      id: 5,
      local: parseAddress("192.0.2.1"),
      port: 8472,
      learning: false,
      ttl: 9,
      udpCsum: false,
      gbp: true,
    };
    await kernel.links.add({ name: "loden.5", kind: "vxlan", mtu: 1450, lower: "eth0", vxlan });
    const vxlan6 = { id: 6, local: parseAddress("2001:db8::1"), udp6ZeroCsumTx: true, udp6ZeroCsumRx: true };
    await kernel.links.add({ name: "loden.6", kind: "vxlan", vxlan: vxlan6 });
    await kernel.links.add({ name: "br0", kind: "bridge", bridge: { stpState: 0, ageingTime: 1000 } });
    expect(await kernel.links.get("loden.5")).toMatchObject({ mtu: 1450, lower: "eth0", vxlan });
    expect(await kernel.links.get("loden.6")).toMatchObject({ lower: undefined, vxlan: vxlan6 });
    const listed = new Map((await kernel.links.list()).map((link) => [link.name, link]));
    expect(listed.get("loden.5")).toEqual(await kernel.links.get("loden.5"));
    expect(listed.get("br0")).toMatchObject({ bridge: { stpState: 0, ageingTime: 1000 } });
    await expect(kernel.links.add({ name: "x", kind: "vxlan", lower: "gone" })).rejects.toMatchObject({
      code: "ENODEV",
    });
  });

  test("links.add() makes VLANs and bonds, or says that the kernel has none", async () => {
    await kernel.links.add({ name: "eth0", kind: "veth", peer: { name: "eth0", netns: right } });
    const kinds = [
      { name: "eth0.7", kind: "vlan", lower: "eth0", vlan: { id: 7, protocol: 0x8100 } },
      { name: "bond0", kind: "bond", bond: { mode: 1, miimon: 100 } },
    ];
    for (const wanted of kinds) {
      const error = await kernel.links.add(wanted).catch((reason: unknown) => reason);
      if (error === undefined) expect(await kernel.links.get(wanted.name)).toMatchObject(wanted);
      else expect(error).toMatchObject({ detail: "Unknown device type" });
    }
  });

  test("links.add() makes a veth whose other end is in another namespace", async () => {
    await kernel.links.add({
      name: "wire",
      kind: "veth",
      mtu: 1400,
      mac: "02:00:00:00:00:01",
      addrGenMode: "none",
      up: true,
      peer: {
        name: "eth0",
        netns: right,
        mtu: 1300,
        mac: "02:00:00:00:00:02",
        addrGenMode: "none",
        up: true,
      },
    });
    const near = await kernel.links.get("wire");
    const peer = await far.links.get("eth0");
    expect(near).toMatchObject({
      kind: "veth",
      mtu: 1400,
      up: true,
      running: true,
      mac: "02:00:00:00:00:01",
    });
    expect(peer).toMatchObject({
      kind: "veth",
      mtu: 1300,
      up: true,
      running: true,
      mac: "02:00:00:00:00:02",
    });
    expect([near?.addrGenMode, peer?.addrGenMode]).toEqual(["none", "none"]);
    expect([near?.peerIndex, peer?.peerIndex]).toEqual([peer?.index, near?.index]);
    expect(await kernel.links.get("eth0")).toBeUndefined();
    expect((await far.addresses.list({ link: "eth0" })).length).toBe(0);
    await far.links.delete("eth0");
    expect(await kernel.links.get("wire")).toBeUndefined();
  });

  test("links.add() makes a veth with both ends here, and a bridge", async () => {
    await kernel.links.add({ name: "a", kind: "veth", peer: { name: "b", up: true } });
    await kernel.links.add({ name: "br0", kind: "bridge" });
    expect((await kernel.links.list()).map(({ name, kind, up }) => [name, kind, up])).toEqual([
      ["lo", undefined, false],
      ["b", "veth", true],
      ["a", "veth", false],
      ["br0", "bridge", false],
    ]);
  });

  test("links.set() changes every setting of a link", async () => {
    await kernel.links.add({ name: "br0", kind: "bridge", up: true });
    await kernel.links.add({ name: "a", kind: "veth", master: "br0", peer: { name: "b" } });
    expect(await kernel.links.get("a")).toMatchObject({ master: "br0", up: false });
    expect((await kernel.links.list()).find(({ name }) => name === "a")).toEqual(await kernel.links.get("a"));
    await kernel.links.set("a", { master: null });
    expect(await kernel.links.get("a")).toMatchObject({ master: undefined });
    await kernel.links.set("a", {
      name: "c",
      mtu: 1300,
      mac: "02:00:00:00:00:09",
      master: "br0",
      addrGenMode: "none",
    });
    await kernel.links.set("c", { up: true });
    expect(await kernel.links.get("c")).toMatchObject({
      mtu: 1300,
      mac: "02:00:00:00:00:09",
      master: "br0",
      addrGenMode: "none",
      up: true,
    });
    await kernel.links.set("c", { up: false });
    expect(await kernel.links.get("c")).toMatchObject({ up: false });
    await kernel.links.set("c", {});
  });

  test("links.set() moves a link into another namespace under another name", async () => {
    await kernel.links.add({ name: "a", kind: "veth", peer: { name: "b" } });
    await kernel.links.set("b", { netns: right, name: "eth0", up: true });
    expect(await kernel.links.get("b")).toBeUndefined();
    expect(await far.links.get("eth0")).toMatchObject({ kind: "veth", up: true });
  });

  test("links methods reject with an error that names the link when the kernel refuses", async () => {
    await kernel.links.add({ name: "br0", kind: "bridge" });
    await expect(kernel.links.delete("nope")).rejects.toBeInstanceOf(KernelError);
    await expect(kernel.links.add({ name: "br0", kind: "bridge" })).rejects.toMatchObject({
      code: "EEXIST",
      errno: 17,
      syscall: "netlink",
      message: expect.stringMatching(/^Cannot add link br0 of kind bridge: /),
    });
    await expect(kernel.links.add({ name: "x", kind: "nonsense" })).rejects.toMatchObject({
      errno: 95,
      detail: "Unknown device type",
    });
    await expect(kernel.links.set("nope", { up: true })).rejects.toMatchObject({
      code: "ENODEV",
      detail: 'there is no link "nope"',
    });
    await expect(kernel.links.delete("a name that is far too long")).rejects.toMatchObject({
      code: "ENODEV",
    });
    await expect(kernel.links.set("br0", { mtu: 1 })).rejects.toMatchObject({
      detail: "mtu less than device minimum",
    });
    await expect(kernel.links.set("br0", { mac: "02:0:0:0:0:1" })).rejects.toThrow(SyntaxError);
  });
});
