import { parseAddress } from "@loden/ip";
import { createNetns, type Netns } from "@loden/netns";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openRtnetlink, type Rtnetlink } from "../open-rtnetlink.ts";
import type { NewFdbEntry } from "./fdb-entry.ts";
import { formatFdbEntry } from "./format-fdb-entry.ts";

// +---------- host ----------+
// | br0 <- loden.1 (VNI 1)   |
// | br1, with the port port1 |
// +--------------------------+
let host: Netns;
let kernel: Rtnetlink;

beforeEach(async () => {
  host = createNetns();
  kernel = openRtnetlink({ netns: host });
  await kernel.links.add({ name: "br0", kind: "bridge", addrGenMode: "none", up: true });
  await kernel.links.add({ name: "loden.1", kind: "vxlan", lower: "br0", vxlan: { id: 1, learning: false } });
  await kernel.links.add({ name: "br1", kind: "bridge", addrGenMode: "none", up: true });
  await kernel.links.add({ name: "port1", kind: "veth", master: "br1", peer: { name: "far1" } });
});

afterEach(() => {
  kernel.close();
  host.close();
});

const first: NewFdbEntry = {
  link: "loden.1",
  mac: "02:00:00:00:00:01",
  destination: parseAddress("192.0.2.1"),
};

describe("fdb", () => {
  test("fdb.add(), replace() and delete() change the far end of a MAC address", async () => {
    await kernel.fdb.add(first);
    await expect(kernel.fdb.add(first)).rejects.toMatchObject({ code: "EEXIST" });
    expect((await kernel.fdb.list({ link: "loden.1" })).map(formatFdbEntry)).toEqual([
      "02:00:00:00:00:01 dev loden.1 dst 192.0.2.1 self permanent",
    ]);
    await kernel.fdb.replace({ ...first, destination: parseAddress("192.0.2.2") });
    const [entry] = await kernel.fdb.list({ link: "loden.1" });
    expect(formatFdbEntry(entry!)).toBe("02:00:00:00:00:01 dev loden.1 dst 192.0.2.2 self permanent");
    await kernel.fdb.delete(first);
    expect(await kernel.fdb.list({ link: "loden.1" })).toEqual([entry]); // it has another far end
    await kernel.fdb.delete(entry!);
    expect(await kernel.fdb.list({ link: "loden.1" })).toEqual([]);
    await expect(kernel.fdb.delete(first)).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("fdb.append() gives the all-zero MAC address several far ends, with port, VNI and link", async () => {
    const flood: NewFdbEntry = { ...first, mac: "00:00:00:00:00:00", state: "static" };
    await kernel.fdb.append(flood);
    await kernel.fdb.append({
      ...flood,
      destination: parseAddress("192.0.2.2"),
      port: 4789,
      vni: 7,
      via: "br0",
    });
    const listed = await kernel.fdb.list({ link: "loden.1" });
    expect(listed.map(formatFdbEntry).toSorted()).toEqual([
      "00:00:00:00:00:00 dev loden.1 dst 192.0.2.1 self static",
      "00:00:00:00:00:00 dev loden.1 dst 192.0.2.2 port 4789 vni 7 via br0 self static",
    ]);
  });

  test("fdb.add() enters an address behind a bridge's port into the bridge's table when asked to", async () => {
    const entry: NewFdbEntry = {
      link: "port1",
      mac: "02:00:00:00:00:05",
      table: "master",
      state: "static",
    };
    await kernel.fdb.add(entry);
    const listed = await kernel.fdb.list({ link: "port1" });
    expect(listed.map(formatFdbEntry)).toContain("02:00:00:00:00:05 dev port1 master static");
  });

  test("fdb.change() carries out what it can and gives the error of each that it cannot", async () => {
    const errors = await kernel.fdb.change([
      { verb: "add", entry: first },
      { verb: "add", entry: { ...first, link: "nowhere" } },
      { verb: "delete", entry: { ...first, mac: "02:00:00:00:00:09" } },
      { verb: "add", entry: { ...first, mac: "02:00:00:00:00:02", via: "away" } },
      { verb: "replace", entry: { ...first, mac: "02:00:00:00:00:03" } },
    ]);
    expect(errors.map((error) => error?.code)).toEqual([undefined, "ENODEV", "ENOENT", "ENODEV", undefined]);
    expect(errors[1]?.message).toContain(
      "Cannot add forwarding entry 02:00:00:00:00:01 dev nowhere dst 192.0.2.1 self permanent",
    );
    expect(await kernel.fdb.list({ link: "loden.1" })).toHaveLength(2);
  });
});
