import { parsePrefix } from "@loden/ip";
import { parseNetworkConfig } from "@loden/subnet";
import { expect, test } from "vitest";
import { desiredRules } from "./desired-rules.ts";

const settings = {
  masquerade: true,
  fullyRandom: false,
  except: [parsePrefix("192.168.0.0/16")],
  forward: true,
  dropForged: true,
  resyncMs: 5_000,
};
const dual = {
  Network: "10.5.0.0/16",
  EnableIPv6: true,
  IPv6Network: "fd00:5::/52",
};
const subnet = { ipv4: parsePrefix("10.5.3.0/24"), ipv6: parsePrefix("fd00:5:0:3::/64") };

function rulesOf(config: object, given: Partial<typeof settings> = {}) {
  const network = parseNetworkConfig(JSON.stringify(config));
  return desiredRules({ network, subnet, link: "eth0", settings: { ...settings, ...given } });
}

test("desiredRules() names network and subnet of each family that the host has", () => {
  const [ipv4, ipv6] = rulesOf(dual).networks;
  expect([ipv4, ipv6].map((one) => `${one?.subnet.toString()} of ${one?.network.toString()}`)).toEqual([
    "10.5.3.0/24 of 10.5.0.0/16",
    "fd00:5:0:3::/64 of fd00:5::/52",
  ]);
  expect(rulesOf({ Network: "10.5.0.0/16" }).networks).toHaveLength(1);
  expect(rulesOf(dual).masquerade).toEqual({ randomFully: false, except: settings.except });
  expect(rulesOf(dual, { masquerade: false })).not.toHaveProperty("masquerade");
});

test.each([
  [{ Type: "udp" }, [8285]],
  [{ Type: "udp", Port: 7890 }, [7890]],
  [{ Type: "vxlan" }, [8472]],
  [{ Type: "vxlan", Port: 4789 }, [4789]],
])("desiredRules() guards the ports of the backend %j", (Backend, ports) => {
  expect(rulesOf({ ...dual, Backend }).forgery).toEqual({ ports, links: ["eth0"] });
});

test("desiredRules() guards no port where there is none, or where that is switched off", () => {
  expect(rulesOf({ ...dual, Backend: { Type: "host-gw" } })).not.toHaveProperty("forgery");
  expect(rulesOf(dual, { dropForged: false })).not.toHaveProperty("forgery");
});
