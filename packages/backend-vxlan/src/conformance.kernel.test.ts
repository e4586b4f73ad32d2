import { backendConformance } from "@loden/backend/conformance";
import { parseAddress } from "@loden/ip";
import { openTestHosts } from "@loden/rtnetlink/testing";
import { expect, test } from "vitest";
import { formatVtepData, openVxlanBackend } from "./index.ts";

test.for(backendConformance)("vxlan backend: $title", async ({ run }) => {
  using network = await openTestHosts({ hosts: 2 });
  const [{ netns, rtnetlink }] = network.hosts;
  const [ipv4, other] = [parseAddress("192.0.2.1"), parseAddress("192.0.2.51")];
  await rtnetlink.addresses.add({ link: "eth0", address: other, prefixLength: 24 });
  const underlay = { link: "eth0", mtu: 1500, ipv4 };
  const context = {
    open: () => openVxlanBackend({ netns, underlay }),
    underlay,
    moved: { link: "eth0", mtu: 1400, ipv4: other },
    peerAttributes: (_: unknown, number: number) => ({
      publicIP: parseAddress(`192.0.2.${number}`),
      backendType: "vxlan",
      backendData: formatVtepData({ vni: 1, mac: `02:00:00:00:00:0${number}` }),
    }),
  };
  await expect(run(context)).resolves.toBeUndefined();
});
