import { backendConformance } from "@loden/backend/conformance";
import { parseAddress } from "@loden/ip";
import { createNetns } from "@loden/netns";
import { openRtnetlink } from "@loden/rtnetlink";
import { expect, test } from "vitest";
import { openUdpBackend } from "./index.ts";

test.for(backendConformance)("udp backend: $title", async ({ run }) => {
  using netns = createNetns();
  using rtnetlink = openRtnetlink({ netns });
  const underlay = { link: "lo", mtu: 1500, ipv4: parseAddress("192.0.2.1") };
  const moved = { link: "lo", mtu: 1400, ipv4: parseAddress("192.0.2.51") };
  await rtnetlink.links.set("lo", { up: true });
  for (const { link, ipv4: address } of [underlay, moved]) {
    await rtnetlink.addresses.add({ link, address, prefixLength: 32 });
  }
  const open = async () => openUdpBackend({ netns, underlay });
  await expect(run({ open, underlay, moved })).resolves.toBeUndefined();
});
