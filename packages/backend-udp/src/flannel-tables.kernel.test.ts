import { spawnSync } from "node:child_process";
import { afterEach, beforeEach, expect, test } from "vitest";
import { formatLeaseValue } from "@loden/lease";
import type { Netns } from "@loden/netns";
import { openTwoHosts, type TwoHosts } from "./two-hosts.fixture.ts";

let hosts: TwoHosts;

beforeEach(async () => {
  hosts = await openTwoHosts();
});

afterEach(() => hosts[Symbol.asyncDispose]());

// flannel's: the subnet's first address as a /32, the underlay's MTU less 28, the whole network to the device; protocol 76 instead of boot.
test("openUdpBackend() makes what flannel's udp backend makes, as ip and ss list it", () => {
  const { netns, lease } = hosts.a;
  const [link = ""] = run(netns, "ip -d link show dev loden0");
  expect(link).toContain("<POINTOPOINT,MULTICAST,NOARP,UP,LOWER_UP> mtu 1472");
  expect(run(netns, "ip -d link show dev loden0").join(" ")).toContain("tun type tun pi off");
  expect(run(netns, "ip -4 address show dev loden0").filter((line) => line.startsWith("inet"))).toEqual([
    "inet 10.5.1.0/32 scope global loden0",
  ]);
  expect(run(netns, "ip route show dev loden0")).toEqual(["10.5.0.0/16 proto 76 scope link"]);
  expect(run(netns, "ip neighbour show dev loden0")).toEqual([]);
  const sockets = run(netns, "ss -H -u -n -a").map((line) => line.split(" ")[3]);
  expect(sockets).toEqual(["192.0.2.1:8285"]);
  expect(formatLeaseValue(lease.attributes)).toBe('{"PublicIP":"192.0.2.1","PublicIPv6":null}');
});

function run(netns: Netns, command: string): string[] {
  const [program = "", ...words] = command.split(" ");
  const { status, stdout, stderr } = netns.run(() => spawnSync(program, words, { encoding: "utf8" }));
  if (status !== 0) throw new Error(`Cannot run ${command}: ${stderr}`);
  return stdout
    .split("\n")
    .map((line) => line.replaceAll(/\s+/g, " ").trim())
    .filter((line) => line !== "");
}
