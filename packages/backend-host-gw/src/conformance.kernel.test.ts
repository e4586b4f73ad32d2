import { backendConformance } from "@loden/backend/conformance";
import { parseAddress } from "@loden/ip";
import { openTestHosts } from "@loden/rtnetlink/testing";
import { expect, test } from "vitest";
import { openHostGwBackend } from "./index.ts";

test.for(backendConformance)("host-gw backend: $title", async ({ run }) => {
  using network = await openTestHosts({ hosts: 2 });
  const [{ netns, rtnetlink }] = network.hosts;
  const [ipv4, other] = [parseAddress("192.0.2.1"), parseAddress("192.0.2.51")];
  await rtnetlink.addresses.add({ link: "eth0", address: other, prefixLength: 24 });
  const underlay = { link: "eth0", mtu: 1500, ipv4 };
  const moved = { link: "eth0", mtu: 1400, ipv4: other };
  await expect(
    run({ open: async () => openHostGwBackend({ netns, underlay }), underlay, moved }),
  ).resolves.toBeUndefined();
});
