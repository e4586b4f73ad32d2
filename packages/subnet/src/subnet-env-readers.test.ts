import { Address, Prefix } from "@loden/ip";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseNetworkConfig } from "./parse-network-config.ts";
import { formatSubnetEnv } from "./subnet-env.ts";

// Who reads subnet.env on a host, in the way each of them reads: flannel's CNI plugin, and flannel's mk-docker-opts.sh,
// whose output dockerd is started with. Written from a description of what they do.

const ipv4Config = '{"Network":"10.42.0.0/16"}';
const ipv6Config = '{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"2001:cafe:42::/56"}';
const dualConfig = '{"Network":"10.42.0.0/16","EnableIPv6":true,"IPv6Network":"2001:cafe:42::/56"}';

describe.each([
  {
    stack: "IPv4",
    text: write(ipv4Config, { ipMasq: true }),
    cni: {
      ipMasq: false,
      mtu: 1472,
      ranges: ["10.42.3.0/24"],
      gateways: ["10.42.3.1"],
      routes: ["10.42.0.0/16"],
    },
    docker: "--bip=10.42.3.1/24 --ip-masq=false --mtu=1472",
  },
  {
    stack: "IPv6",
    text: write(ipv6Config, { ipMasq: false }),
    cni: {
      ipMasq: true,
      mtu: 1472,
      ranges: ["2001:cafe:42:3::/64"],
      gateways: ["2001:cafe:42:3::1"],
      routes: ["2001:cafe:42::/56"],
    },
    docker: "--ip-masq=true --mtu=1472",
  },
  {
    stack: "dual stack",
    text: write(dualConfig, { ipMasq: false }),
    cni: {
      ipMasq: true,
      mtu: 1472,
      ranges: ["10.42.3.0/24", "2001:cafe:42:3::/64"],
      gateways: ["10.42.3.1", "2001:cafe:42:3::1"],
      routes: ["10.42.0.0/16", "2001:cafe:42::/56"],
    },
    docker: "--bip=10.42.3.1/24 --ip-masq=true --mtu=1472",
  },
])("subnet.env of $stack", ({ text, cni, docker }) => {
  test("formatSubnetEnv() writes what the CNI plugin reads", () => {
    expect(readAsCniPlugin(text)).toEqual(cni);
  });

  test("formatSubnetEnv() writes what mk-docker-opts.sh reads", () => {
    expect(makeDockerOptions(text)).toBe(docker);
  });
});

test("formatSubnetEnv() writes what a shell takes literally, line by line, whatever the subnet", () => {
  const subnetNumber = fc.integer({ min: 1, max: 255 });
  fc.assert(
    fc.property(subnetNumber, fc.integer({ min: 576, max: 65_535 }), fc.boolean(), (n, mtu, ipMasq) => {
      const text = write(dualConfig, { ipMasq, mtu, n });
      const { ranges, mtu: read, ipMasq: plugin } = readAsCniPlugin(text);
      expect(ranges).toEqual([`10.42.${n}.0/24`, `2001:cafe:42:${n.toString(16)}::/64`]);
      expect([read, plugin]).toEqual([mtu, !ipMasq]);
      expect(makeDockerOptions(text)).toBe(`--bip=10.42.${n}.1/24 --ip-masq=${!ipMasq} --mtu=${mtu}`);
    }),
  );
});

// The readers are no pushovers.
test.each([
  ["no network", "FLANNEL_SUBNET=10.42.3.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=true\n"],
  ["no subnet", "FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=true\n"],
  ["no MTU", "FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.3.1/24\nFLANNEL_IPMASQ=true\n"],
  ["no IPMASQ", "FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.3.1/24\nFLANNEL_MTU=1472\n"],
  [
    "quotes",
    'FLANNEL_NETWORK="10.42.0.0/16"\nFLANNEL_SUBNET=10.42.3.1/24\nFLANNEL_MTU=1\nFLANNEL_IPMASQ=true\n',
  ],
])("the CNI plugin's reader refuses %s", (_, text) => {
  expect(() => readAsCniPlugin(text)).toThrow(Error);
});

function write(config: string, options: { ipMasq: boolean; mtu?: number; n?: number }): string {
  const { ipMasq, mtu = 1472, n = 3 } = options;
  const network = parseNetworkConfig(config);
  const subnet = {
    ipv4: new Prefix(new Address(4, (10n << 24n) | (42n << 16n) | (BigInt(n) << 8n)), 24),
    ipv6: new Prefix(new Address(6, (0x2001_cafe_0042n << 80n) | (BigInt(n) << 64n)), 64),
  };
  return formatSubnetEnv({ config: network, subnet, mtu, ipMasq });
}

interface CniDelegate {
  readonly ipMasq: boolean;
  readonly mtu: number;
  readonly ranges: readonly string[];
  readonly gateways: readonly string[];
  readonly routes: readonly string[];
}

/** What the plugin hands on to the bridge plugin: lines are split at the first `=`, without quotes or comments. */
function readAsCniPlugin(text: string): CniDelegate {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const at = line.indexOf("=");
    if (at >= 0) values.set(line.slice(0, at), line.slice(at + 1));
  }
  const families = ["", "IPV6_"].filter((infix) => {
    return values.has(`FLANNEL_${infix}NETWORK`) && values.has(`FLANNEL_${infix}SUBNET`);
  });
  if (families.length === 0) throw new Error("no family has both NETWORK and SUBNET");
  const subnets = families.map((infix) => readCidr(values.get(`FLANNEL_${infix}SUBNET`) ?? ""));
  const networks = families.flatMap((infix) => (values.get(`FLANNEL_${infix}NETWORK`) ?? "").split(","));
  const mtu = values.get("FLANNEL_MTU") ?? "";
  if (!/^\d+$/.test(mtu)) throw new Error(`FLANNEL_MTU is "${mtu}"`);
  if (!values.has("FLANNEL_IPMASQ")) throw new Error("no FLANNEL_IPMASQ");
  return {
    // flannel masquerades, or the bridge plugin does.
    ipMasq: values.get("FLANNEL_IPMASQ") !== "true",
    mtu: Number(mtu),
    ranges: subnets.map(({ network }) => network),
    gateways: subnets.map(({ address }) => address),
    routes: networks.map((network) => readCidr(network).network),
  };
}

/** An address with its prefix length; not Loden's own parser. */
function readCidr(text: string): { address: string; network: string } {
  const [, address = "", length = ""] = /^([\d.]+|[\da-f:]+)\/(\d+)$/.exec(text) ?? [];
  if (address === "") throw new Error(`not a CIDR address: ${text}`);
  // As far as the subnets of these tests need it: the first address of each has a 1 at its end.
  const network = address.includes(":") ? address.replace(/::1$/, "::") : address.replace(/\.1$/, ".0");
  return { address, network: `${network}/${length}` };
}

/** dockerd's options: the file is sourced by a shell, and what is set makes an option. */
function makeDockerOptions(text: string): string {
  const variables = sourceByShell(text);
  const [subnet, mtu, ipMasq] = ["SUBNET", "MTU", "IPMASQ"].map(
    (name) => variables.get(`FLANNEL_${name}`) ?? "",
  );
  const options: string[] = [];
  if (subnet !== "") options.push(`--bip=${subnet}`);
  if (ipMasq === "true") options.push("--ip-masq=false");
  if (ipMasq === "false") options.push("--ip-masq=true");
  if (mtu !== "") options.push(`--mtu=${mtu}`);
  return options.join(" ");
}

/** Assignments of words in which nothing is special to a shell, which takes them literally; all else throws. */
function sourceByShell(text: string): ReadonlyMap<string, string> {
  if (!text.endsWith("\n")) throw new Error("the last line does not end");
  const lines = text.slice(0, -1).split("\n");
  return new Map(
    lines.map((line): [string, string] => {
      const [, name = "", word = ""] = /^([A-Z_][A-Z0-9_]*)=([A-Za-z0-9./:,-]*)$/.exec(line) ?? [];
      if (name === "") throw new Error(`not a plain assignment: ${line}`);
      return [name, word];
    }),
  );
}
