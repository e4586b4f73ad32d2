import { expect, test } from "vitest";
import { readUnderlayDevice } from "./underlay-device.ts";

test.each([
  ["none, as TUN", undefined],
  ["none, as loopback", "00:00:00:00:00:00"],
  ["an IPv4 address, as GRE", "c0:00:02:01"],
  ["one of InfiniBand", `80:00:00:48${":fe".repeat(16)}`],
])("readUnderlayDevice() takes no device whose hardware address is %s", async (_, mac) => {
  const links = { get: () => Promise.resolve({ index: 2, name: "under0", mtu: 1500, mac }) };
  expect(await readUnderlayDevice({ links } as never, undefined, "under0")).toBe(
    "under0 is no Ethernet device",
  );
});
