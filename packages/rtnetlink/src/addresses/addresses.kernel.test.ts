import { parseAddress } from "@loden/ip";
import { createNetns, type Netns } from "@loden/netns";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openRtnetlink, type Rtnetlink } from "../open-rtnetlink.ts";
import { formatRoute } from "../routes/format-route.ts";

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

describe("addresses", () => {
  beforeEach(async () => {
    await kernel.links.add({ name: "br0", kind: "bridge", addrGenMode: "none", up: true });
  });

  test("addresses.add() gives IPv4 and IPv6 addresses of any prefix length", async () => {
    for (const [text, prefixLength] of [
      ["10.0.0.1", 24],
      ["10.5.0.1", 32],
      ["fd00::1", 64],
      ["fd01::1", 128],
    ] as const)
      await kernel.addresses.add({
        link: "br0",
        address: parseAddress(text),
        prefixLength,
        duplicateDetection: false,
      });
    await kernel.addresses.add({
      link: "lo",
      address: parseAddress("127.0.0.2"),
      prefixLength: 8,
      broadcast: parseAddress("127.255.255.255"),
    });
    expect(await addressTexts()).toEqual([
      "127.0.0.2/8 lo host",
      "10.0.0.1/24 br0 global",
      "10.5.0.1/32 br0 global",
      "fd01::1/128 br0 global",
      "fd00::1/64 br0 global",
    ]);
    expect(await kernel.addresses.list({ link: "br0", family: 6 })).toMatchObject([
      { duplicateDetection: false, tentative: false, permanent: true },
      {},
    ]);
    expect(await kernel.addresses.list({ link: "lo" })).toMatchObject([
      { broadcast: { value: 0x7fffffffn } },
    ]);
  });

  test("addresses.add() sets a peer and leaves the prefix route out when asked to", async () => {
    const address = parseAddress("10.0.0.1");
    await kernel.addresses.add({ link: "br0", address, prefixLength: 32, peer: parseAddress("10.0.0.2") });
    await kernel.addresses.add({
      link: "br0",
      address: parseAddress("10.9.0.1"),
      prefixLength: 24,
      prefixRoute: false,
    });
    expect(await kernel.addresses.list({ link: "br0" })).toMatchObject([
      { peer: parseAddress("10.0.0.2") },
      { prefixRoute: false },
    ]);
    expect((await kernel.routes.list()).map(formatRoute)).toEqual([
      "10.0.0.2/32 dev br0 proto kernel scope link src 10.0.0.1",
    ]);
  });

  test("addresses.delete() takes exactly the given one", async () => {
    const one = { link: "br0", address: parseAddress("10.0.0.1"), prefixLength: 24 };
    await kernel.addresses.add(one);
    await kernel.addresses.add({ ...one, address: parseAddress("10.1.0.1") });
    await kernel.addresses.delete(one);
    expect(await addressTexts()).toEqual(["10.1.0.1/24 br0 global"]);
    await expect(kernel.addresses.delete(one)).rejects.toMatchObject({
      code: "EADDRNOTAVAIL",
      message: expect.stringMatching(/^Cannot delete address 10\.0\.0\.1\/24 dev br0: /),
    });
    await expect(kernel.addresses.add({ ...one, prefixLength: 33 })).rejects.toMatchObject({
      code: "EINVAL",
    });
    await expect(kernel.addresses.add({ ...one, link: "nope" })).rejects.toMatchObject({ code: "ENODEV" });
  });
});

async function addressTexts(): Promise<string[]> {
  return (await kernel.addresses.list()).map(
    ({ address, prefixLength, link, scope }) => `${address.toString()}/${prefixLength} ${link} ${scope}`,
  );
}
