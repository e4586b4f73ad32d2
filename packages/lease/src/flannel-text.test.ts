import { parseAddress, parsePrefix } from "@loden/ip";
import {
  formatSubnet,
  formatSubnetEnv,
  parseNetworkConfig,
  parseSubnetEnv,
  type Subnet,
} from "@loden/subnet";
import { expect, test } from "vitest";
import { formatLeaseValue, parseLeaseValue } from "./lease-value.ts";
import type { LeaseAttributes } from "./lease.ts";
import { formatSubnetKey, parseSubnetKey } from "./subnet-key.ts";

// Every text that Loden shares with flannel hosts and with what reads them, byte for byte, in one table. The rules that
// the texts follow have tests of their own: subnet-key.test.ts, lease-value.test.ts, and subnet-env.test.ts in subnet.

const publicKey = "D9CQ+S7CRLWv5gG5BzhDtNqzBMHZqpvVBSuwA0Qtqkg=";
const vtep = { VNI: 1, VtepMAC: "c6:d2:32:6f:8f:44" };
const ipv4Config = '{"Network":"10.42.0.0/16"}';
const ipv6Config = '{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"2001:cafe:42::/56"}';
const dualConfig = '{"Network":"10.42.0.0/16","EnableIPv6":true,"IPv6Network":"2001:cafe:42::/56"}';

const rows: readonly Row[] = [
  // Keys: flannel's pkg/subnet/subnet.go, MakeSubnetKey and ParseSubnetKey.
  key("an IPv4 subnet", "10.5.52.0-24", "10.5.52.0/24"),
  key("a dual-stack subnet", "10.12.13.0-24&fd00:12:13::-56", "10.12.13.0/24 fd00:12:13::/56"),
  key("the longest prefixes", "10.5.52.2-31&fd00::2-127", "10.5.52.2/31 fd00::2/127"),
  key("the shortest prefixes", "0.0.0.0-0&8000::-1", "0.0.0.0/0 8000::/1"),
  key("zeros in the middle", "10.5.1.0-24&2001:db8:0:1::-64", "10.5.1.0/24 2001:db8:0:1::/64"),

  // Values: flannel's pkg/lease/lease.go, LeaseAttrs; what each backend publishes.
  value("udp, alloc and tencent-vpc", '{"PublicIP":"1.2.3.4","PublicIPv6":null}', {}),
  value("host-gw", '{"PublicIP":"1.2.3.4","PublicIPv6":null,"BackendType":"host-gw"}', {
    backendType: "host-gw",
  }),
  value("ipip", '{"PublicIP":"1.2.3.4","PublicIPv6":null,"BackendType":"ipip"}', { backendType: "ipip" }),
  value("ipsec", '{"PublicIP":"1.2.3.4","PublicIPv6":null,"BackendType":"ipsec"}', { backendType: "ipsec" }),
  value(
    "vxlan",
    '{"PublicIP":"1.2.3.4","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}',
    { backendType: "vxlan", backendData: vtep },
  ),
  value(
    "vxlan in a dual-stack network",
    '{"PublicIP":"1.2.3.4","PublicIPv6":"fd00::3","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"},"BackendV6Data":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}',
    { publicIPv6: parseAddress("fd00::3"), backendType: "vxlan", backendData: vtep, backendV6Data: vtep },
  ),
  value(
    "wireguard",
    `{"PublicIP":"1.2.3.4","PublicIPv6":null,"BackendType":"wireguard","BackendData":{"PublicKey":"${publicKey}","Port":51820}}`,
    { backendType: "wireguard", backendData: { PublicKey: publicKey, Port: 51820 } },
  ),
  value(
    "wireguard in a dual-stack network",
    `{"PublicIP":"1.2.3.4","PublicIPv6":"fd00::3","BackendType":"wireguard","BackendData":{"PublicKey":"${publicKey}","Port":51820},"BackendV6Data":{"PublicKey":"${publicKey}","Port":51821}}`,
    {
      publicIPv6: parseAddress("fd00::3"),
      backendType: "wireguard",
      backendData: { PublicKey: publicKey, Port: 51820 },
      backendV6Data: { PublicKey: publicKey, Port: 51821 },
    },
  ),
  value(
    "extension, with what its PreStartupCommand printed",
    String.raw`{"PublicIP":"1.2.3.4","PublicIPv6":null,"BackendType":"extension","BackendData":"a \"word\" \u003c here\n"}`,
    { backendType: "extension", backendData: 'a "word" < here\n' },
  ),
  value(
    "extension without a PreStartupCommand",
    '{"PublicIP":"1.2.3.4","PublicIPv6":null,"BackendType":"extension"}',
    { backendType: "extension" },
  ),
  value("no IPv4 address", '{"PublicIP":"0.0.0.0","PublicIPv6":"fd00::3"}', {
    publicIP: undefined,
    publicIPv6: parseAddress("fd00::3"),
  }),

  // subnet.env: flannel's pkg/subnet/subnet.go, WriteSubnetFile.
  env(
    "IPv4",
    "FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.0.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n",
    { config: ipv4Config, subnet: "10.42.0.0/24", mtu: 1472, ipMasq: false },
  ),
  env(
    "IPv6",
    "FLANNEL_IPV6_NETWORK=2001:cafe:42::/56\nFLANNEL_IPV6_SUBNET=2001:cafe:42::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
    { config: ipv6Config, subnet: "2001:cafe:42::/64", mtu: 1450, ipMasq: true },
  ),
  env(
    "dual stack",
    "FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.0.1/24\nFLANNEL_IPV6_NETWORK=2001:cafe:42::/56\nFLANNEL_IPV6_SUBNET=2001:cafe:42::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
    { config: dualConfig, subnet: "10.42.0.0/24 2001:cafe:42::/64", mtu: 1450, ipMasq: true },
  ),
];

test.each(rows)("the $kind of $what is written byte for byte", ({ text, write }) => {
  expect(write()).toBe(text);
});

test.each(rows)("the $kind of $what is read", ({ read, meaning }) => {
  expect(read()).toEqual(meaning);
});

// No flannel host reads these keys, so they are nobody's lease.
test.each([
  "10",
  "10.12.13.0",
  "10.12.13-24",
  "10.12.13.300-24",
  "10.12.13.0-24hi",
  "&2001::-56",
  "10.12.13.0-24&:12:13:-56",
  "10.12.13.0-24&20011::-56",
  "10.12.13.0-24&2001-56",
  "10.12.13.0-24&2001::",
  "10.12.13.0-24&2001::-56hi",
  "10.12.13.0-32",
  "10.12.13.0-24&2001::-128",
  "10.12.13.0-24&2001:DB8::-64",
])("the key %s is rejected", (text) => {
  expect(parseSubnetKey(text)).toBeUndefined();
});

interface Row {
  readonly kind: "key" | "value" | "subnet.env";
  readonly what: string;
  readonly text: string;
  readonly meaning: unknown;
  readonly write: () => string;
  readonly read: () => unknown;
}

function key(what: string, text: string, subnet: string): Row {
  const read = (): string => {
    const found = parseSubnetKey(`/coreos.com/network/subnets/${text}`);
    return found === undefined ? "nothing" : formatSubnet(found);
  };
  return { kind: "key", what, text, meaning: subnet, write: () => formatSubnetKey(subnetOf(subnet)), read };
}

function value(what: string, text: string, published: Partial<LeaseAttributes>): Row {
  const { publicIP, ...attributes } = { publicIP: parseAddress("1.2.3.4"), backendType: "", ...published };
  const meaning: LeaseAttributes = { ...(publicIP && { publicIP }), ...attributes };
  const write = (): string => formatLeaseValue(meaning);
  return { kind: "value", what, text, meaning, write, read: () => parseLeaseValue(text) };
}

function env(
  what: string,
  text: string,
  { config, subnet, mtu, ipMasq }: { config: string; subnet: string; mtu: number; ipMasq: boolean },
): Row {
  const network = parseNetworkConfig(config);
  const meaning = {
    networks: network.ipv4 === undefined ? [] : [network.ipv4.network],
    ipv6Networks: network.ipv6 === undefined ? [] : [network.ipv6.network],
    subnet: subnetOf(subnet),
    mtu,
    ipMasq,
  };
  const write = (): string => formatSubnetEnv({ config: network, subnet: subnetOf(subnet), mtu, ipMasq });
  return { kind: "subnet.env", what, text, meaning, write, read: () => parseSubnetEnv(text) };
}

function subnetOf(text: string): Subnet {
  const prefixes = text.split(" ").map((part) => parsePrefix(part));
  const [ipv4, ipv6] = ([4, 6] as const).map((family) => prefixes.find((prefix) => prefix.family === family));
  return { ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) };
}
