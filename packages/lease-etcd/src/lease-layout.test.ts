import { parseSubnetKey } from "@loden/lease";
import { expect, test } from "vitest";
import { createLeaseLayout, leaseKey } from "./lease-layout.ts";

test.each([
  ["/coreos.com/network", "/coreos.com/network/config", "/coreos.com/network/subnets/"],
  ["/coreos.com/network/", "/coreos.com/network/config", "/coreos.com/network/subnets/"],
  ["my//overlay", "my/overlay/config", "my/overlay/subnets/"],
])("createLeaseLayout(%j) has flannel's keys", (prefix, configKey, leasePrefix) => {
  const layout = createLeaseLayout(prefix);
  expect(layout).toMatchObject({ configKey, leasePrefix });
  expect(Buffer.from(layout.leases.key).toString()).toBe(leasePrefix);
  expect(Buffer.from(layout.leases.rangeEnd).toString()).toBe(leasePrefix.replace(/\/$/, "0"));
});

test.each(["10.5.52.0-24", "10.12.13.0-24&fd00:12:13::-56"])(
  "leaseKey() writes %s as flannel does",
  (name) => {
    const key = leaseKey(createLeaseLayout("/coreos.com/network"), parseSubnetKey(name) ?? {});
    expect(Buffer.from(key).toString()).toBe(`/coreos.com/network/subnets/${name}`);
  },
);

test("leaseKey() throws RangeError when the subnet has no IPv4 part", () => {
  const { ipv6 } = parseSubnetKey("10.12.13.0-24&fd00:12:13::-56") ?? {};
  expect(() => leaseKey(createLeaseLayout("/"), { ipv6 })).toThrow(RangeError);
});
