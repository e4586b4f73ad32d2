import { execFileSync } from "node:child_process";
import { openUdpBackend } from "@loden/backend-udp";
import { openFirewall } from "@loden/firewall";
import { addressFromBytes, parseAddress, parsePrefix } from "@loden/ip";
import type { Lease } from "@loden/lease";
import {
  bindSocket,
  closeFd,
  constants,
  decodeSocketAddress,
  encodeSocketAddress,
  openSocket,
  receiveFrom,
  sendTo,
  setSocketOption,
} from "@loden/linux";
import { createNetns, type Netns } from "@loden/netns";
import { parseNetworkConfig } from "@loden/subnet";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually, LodendFolder } from "../testing/lodend-process.fixture.ts";
import { createTestNetwork, type TestNetwork } from "../testing/test-host.fixture.ts";
import { desiredRules } from "./desired-rules.ts";

// What a container of host a does to a container of host b, when a masquerades:
//
//     forger 10.42.3.2 --- cni, host a, eth0 192.0.2.1 --- switch --- 192.0.2.2 eth0, host b, cni --- victim 10.42.9.2
//     fd42:0:3::2                            2001:db8::1               2001:db8::2
const victim = "10.42.9.2";
const port = 7_777;
const rulesOf = (backend: string, options: { dropForged: boolean; number: 3 | 9 }) =>
  desiredRules({
    network: parseNetworkConfig(
      JSON.stringify({
        Network: "10.42.0.0/16",
        EnableIPv6: true,
        IPv6Network: "fd42::/32",
        Backend: { Type: backend },
      }),
    ),
    subnet: {
      ipv4: parsePrefix(`10.42.${options.number}.0/24`),
      ipv6: parsePrefix(`fd42:0:${options.number}::/64`),
    },
    link: "eth0",
    settings: {
      masquerade: true,
      fullyRandom: true,
      except: [],
      forward: true,
      dropForged: options.dropForged,
    },
  });

let open: AsyncDisposableStack;
let network: TestNetwork;
let a: Netns;
let b: Netns;
let forgers: Record<3 | 9, Netns>;
let received: number;

beforeEach(async () => {
  open = new AsyncDisposableStack();
  network = open.use(await createTestNetwork(2));
  [a, b] = network.hosts as [Netns, Netns];
  for (const [number, host] of [a, b].entries()) {
    for (const name of ["all", "default", "eth0"]) host.setSysctl(`net/ipv4/conf/${name}/rp_filter`, 0);
    host.setSysctl("net/ipv4/ip_forward", 1);
    host.setSysctl("net/ipv6/conf/all/forwarding", 1);
    ip(host, [`addr add 2001:db8::${number + 1}/64 dev eth0 nodad`]);
  }
  forgers = { 3: addContainer(a, 3), 9: addContainer(b, 9) };
  received = socketOf(forgers[9], victim, port);
  // What does not come in time has not come.
  setSocketOption(
    received,
    constants.SOL_SOCKET,
    SO_RCVTIMEO,
    new Uint8Array(new BigInt64Array([5n, 0n]).buffer),
  );
});

afterEach(() => open.disposeAsync());

describe("a container that makes datagrams as hosts do", () => {
  test.each([
    ["IPv4", "10.42.3.2", "192.0.2.2", "192.0.2.1"],
    ["IPv6", "fd42:0:3::2", "2001:db8::2", "2001:db8::1"],
  ])(
    "reaches another host's container with any source of its host's subnet, unless the firewall is there (udp, %s)",
    async (_family, from, to, host) => {
      await joinUdp(to, host);
      const forged = packet("10.42.3.99", victim, "forged");
      const hosts = packet("10.42.3.99", victim, "a host's");
      const toB = { address: to, port: 8285 };
      await withRules(a, "udp", false, () => {
        send(forgers[3], from, toB, forged);
        expect(receive()).toEqual({ from: "10.42.3.99", text: "forged" });
      });
      await withRules(a, "udp", true, () => {
        send(forgers[3], from, toB, forged);
        send(a, host, toB, hosts);
        expect(receive()).toEqual({ from: "10.42.3.99", text: "a host's" });
      });
    },
  );

  test.each([
    ["IPv4", "10.42.3.2", "192.0.2.2", "192.0.2.1"],
    ["IPv6", "fd42:0:3::2", "2001:db8::2", "2001:db8::1"],
  ])(
    "reaches another host's container with any source at all, unless the firewall is there (vxlan, %s)",
    async (_family, from, to, host) => {
      addVxlan(b, to);
      const forged = vxlan(packet("10.42.77.7", victim, "forged"));
      const hosts = vxlan(packet("10.42.77.7", victim, "a host's"));
      const toB = { address: to, port: 8472 };
      await withRules(a, "vxlan", false, () => {
        send(forgers[3], from, toB, forged);
        expect(receive()).toEqual({ from: "10.42.77.7", text: "forged" });
      });
      await withRules(a, "vxlan", true, () => {
        send(forgers[3], from, toB, forged);
        send(a, host, toB, hosts);
        expect(receive()).toEqual({ from: "10.42.77.7", text: "a host's" });
      });
    },
  );

  test("reaches its neighbour by its own host's VXLAN device, unless the firewall is there", async () => {
    addVxlan(b, "192.0.2.2");
    const forged = vxlan(packet("10.42.77.7", victim, "forged"));
    const hosts = vxlan(packet("10.42.77.7", victim, "a host's"));
    for (const address of ["192.0.2.2", "10.42.9.1"]) {
      await withRules(b, "vxlan", false, () => {
        send(forgers[9], victim, { address, port: 8472 }, forged);
        expect(receive()).toEqual({ from: "10.42.77.7", text: "forged" });
      });
      await withRules(b, "vxlan", true, () => {
        send(forgers[9], victim, { address, port: 8472 }, forged);
        send(a, "192.0.2.1", { address: "192.0.2.2", port: 8472 }, hosts);
        expect(receive()).toEqual({ from: "10.42.77.7", text: "a host's" });
      });
    }
  });

  test("is told of by the daemon: in its log and in its status", async () => {
    const folder = open.use(
      new LodendFolder(a, ["--ip-masq", "--iptables-resync=1"], { config: '{"Network":"10.42.0.0/16"}' }),
    );
    const lodend = folder.start("run");
    await lodend.says("ready");
    const forged = packet("10.42.3.99", victim, "forged");
    for (const to of [8285, 8286]) send(forgers[3], "10.42.3.2", { address: "192.0.2.2", port: to }, forged);
    await eventually("the daemon tells of it", () => lodend.output.includes("see --drop-forged"));
    const { output } = await folder.run("status", ["--json"]);
    expect(JSON.parse(output)).toMatchObject({ forged: { packets: 1, bytes: 28 + forged.length } });
  });
});

const SO_RCVTIMEO = 20;
const MAC = [2, 0, 0, 0, 0, 9];

async function withRules(
  netns: Netns,
  backend: string,
  dropForged: boolean,
  attack: () => void,
): Promise<void> {
  using firewall = openFirewall({ netns });
  await firewall.apply(rulesOf(backend, { dropForged, number: netns === a ? 3 : 9 }));
  attack();
  expect((await firewall.counts()).forged.packets).toBe(dropForged ? 1 : 0);
}

/** Host b with the real backend, and host a as its peer, by addresses of one family. */
async function joinUdp(own: string, peer: string): Promise<void> {
  const { family } = parseAddress(own);
  const [address, publicAddress] =
    family === 4 ? (["ipv4", "publicIP"] as const) : (["ipv6", "publicIPv6"] as const);
  const underlay = { link: "eth0", mtu: 1500, [address]: parseAddress(own) };
  const backend = open.use(openUdpBackend({ netns: b, underlay }));
  const lease = (number: 3 | 9, attributes: Lease["attributes"]): Lease => ({
    subnet: { ipv4: parsePrefix(`10.42.${number}.0/24`) },
    attributes,
    expiresAt: undefined,
    revision: "1",
  });
  const config = parseNetworkConfig('{"Network":"10.42.0.0/16"}');
  await backend.join({ lease: lease(9, backend.attributes), network: config });
  await backend.apply([lease(3, { [publicAddress]: parseAddress(peer), backendType: "udp" })]);
}

function addVxlan(netns: Netns, local: string): void {
  ip(netns, [
    `link add flannel.1 address ${MAC.map((byte) => byte.toString(16)).join(":")} type vxlan id 1 dev eth0 local ${local} dstport 8472 nolearning`,
    "addr add 10.42.9.0/32 dev flannel.1",
    "link set flannel.1 up",
  ]);
}

function addContainer(host: Netns, number: 3 | 9): Netns {
  const container = open.use(createNetns());
  container.setSysctl("net/ipv6/conf/default/accept_dad", 0);
  ip(host, [
    `link add cni type veth peer name eth0 netns /proc/${process.pid}/fd/${container.fd}`,
    `addr add 10.42.${number}.1/24 dev cni`,
    `addr add fd42:0:${number}::1/64 dev cni nodad`,
    "link set cni up",
  ]);
  ip(container, [
    "link set eth0 up",
    `addr add 10.42.${number}.2/24 dev eth0`,
    `addr add fd42:0:${number}::2/64 dev eth0 nodad`,
    `route add default via 10.42.${number}.1`,
    `route add ::/0 via fd42:0:${number}::1`,
  ]);
  return container;
}

function ip(netns: Netns, lines: readonly string[]): void {
  netns.run(() => execFileSync("ip", ["-batch", "-"], { input: `${lines.join("\n")}\n` }));
}

function socketOf(netns: Netns, address: string, local: number): number {
  const parsed = parseAddress(address);
  const domain = parsed.family === 4 ? constants.AF_INET : constants.AF_INET6;
  const fd = netns.run(() => openSocket(domain, constants.SOCK_DGRAM));
  open.defer(() => closeFd(fd));
  bindSocket(fd, encodeSocketAddress(parsed.toBytes(), local));
  return fd;
}

interface Endpoint {
  readonly address: string;
  readonly port: number;
}

function send(netns: Netns, source: string, to: Endpoint, datagram: Uint8Array): void {
  const target = encodeSocketAddress(parseAddress(to.address).toBytes(), to.port);
  expect(sendTo(socketOf(netns, source, 0), datagram, target)).toBe(datagram.length);
}

function receive(): { from: string; text: string } {
  const buffer = new Uint8Array(64);
  const message = receiveFrom(received, buffer);
  if (message === undefined) throw new Error("Cannot receive a packet: none came");
  const { address } = decodeSocketAddress(message.address)!;
  return {
    from: addressFromBytes(address).toString(),
    text: new TextDecoder().decode(buffer.subarray(0, message.length)),
  };
}

/** An IPv4 packet with a UDP datagram, whose checksum is left out (RFC 768). */
function packet(source: string, destination: string, text: string): Uint8Array {
  const payload = new TextEncoder().encode(text);
  const bytes = new Uint8Array(28 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0x4500);
  view.setUint16(2, bytes.length);
  view.setUint16(8, 0x4011); // TTL 64, UDP
  bytes.set(parseAddress(source).toBytes(), 12);
  bytes.set(parseAddress(destination).toBytes(), 16);
  let sum = 0;
  for (let offset = 0; offset < 20; offset += 2) sum += view.getUint16(offset);
  view.setUint16(10, ~((sum & 0xffff) + (sum >>> 16)));
  view.setUint16(20, port);
  view.setUint16(22, port);
  view.setUint16(24, 8 + payload.length);
  bytes.set(payload, 28);
  return bytes;
}

/** A packet in a frame to host b's device, in VXLAN (RFC 7348) with the VNI 1. */
function vxlan(inner: Uint8Array): Uint8Array {
  return Uint8Array.of(8, 0, 0, 0, 0, 0, 1, 0, ...MAC, 2, 0, 0, 0, 0, 77, 8, 0, ...inner);
}
