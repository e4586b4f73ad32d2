import { parseAddress } from "@loden/ip";
import { createNetns, type Netns } from "@loden/netns";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Neighbour } from "./neighbour.ts";
import { openRtnetlink, type Rtnetlink } from "../open-rtnetlink.ts";

// +----- host -----+
// | br0, a bridge  |
// +----------------+
let host: Netns;
let kernel: Rtnetlink;

beforeEach(() => {
  host = createNetns();
  kernel = openRtnetlink({ netns: host });
});

afterEach(() => {
  kernel.close();
  host.close();
});

describe("neighbours", () => {
  test("neighbours are added, replaced, listed and deleted", async () => {
    await kernel.links.add({ name: "br0", kind: "bridge", addrGenMode: "none", up: true });
    const one = { link: "br0", address: parseAddress("10.0.0.9"), mac: "02:00:00:00:00:09" };
    const six = {
      link: "br0",
      address: parseAddress("fd00::9"),
      mac: "02:00:00:00:00:0a",
      state: "reachable",
    } as const;
    await kernel.neighbours.add(one);
    await kernel.neighbours.add(six);
    await expect(kernel.neighbours.add(one)).rejects.toMatchObject({
      code: "EEXIST",
      message: expect.stringMatching(/^Cannot add neighbour 10\.0\.0\.9 lladdr \S+ dev br0 nud permanent: /),
    });
    await kernel.neighbours.replace({ ...one, mac: "02:00:00:00:00:0b" });
    // The kernel may enter multicast neighbours by itself.
    const listed = async (): Promise<Neighbour[]> =>
      (await kernel.neighbours.list({ link: "br0", family: 4 })).filter(({ state }) => state !== "noArp");
    expect(await listed()).toMatchObject([
      { address: one.address, mac: "02:00:00:00:00:0b", state: "permanent" },
    ]);
    expect(await kernel.neighbours.list({ link: "br0" })).toContainEqual(expect.objectContaining(six));
    await kernel.neighbours.delete(one);
    expect(await listed()).toEqual([]);
    await expect(kernel.neighbours.delete(one)).rejects.toMatchObject({ code: "ENOENT" });
  });
});
