import { backendConformance } from "@loden/backend/conformance";
import { parseAddress } from "@loden/ip";
import { createNetns } from "@loden/netns";
import { openRtnetlink } from "@loden/rtnetlink";
import { expect, test } from "vitest";
import { openUdpBackend } from "./index.ts";

test.for(backendConformance)("udp backend: $title", async ({ run }) => {
  using netns = createNetns();
  using rtnetlink = openRtnetlink({ netns });
  const address = parseAddress("192.0.2.1");
  await rtnetlink.links.set("lo", { up: true });
  await rtnetlink.addresses.add({ link: "lo", address, prefixLength: 32 });
  const open = async () => openUdpBackend({ netns, underlay: { address, mtu: 1500 } });
  await expect(run({ open })).resolves.toBeUndefined();
});
