import { addressFromBytes, type AddressFamily, parseAddress, parsePrefix } from "@loden/ip";
import {
  bindSocket,
  closeFd,
  constants,
  decodeSocketAddress,
  encodeSocketAddress,
  getSocketName,
  openSocket,
  receiveFrom,
  sendTo,
  setSocketOption,
} from "@loden/linux";
import { createNetns, type Netns } from "@loden/netns";
import { execFileSync } from "node:child_process";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { FirewallRules } from "./firewall-rules.ts";
import { type Firewall } from "./firewall.ts";
import { openFirewall } from "./open-firewall.ts";

//  +- container -+        +-------- host ---------+          +--------------- outside ---------------+
//  | eth0 C      |--veth--| cni           overlay |---veth---| overlay  PEER: another host's container |
//  +-------------+        |                  wire |---veth---| wire     WORLD                          |
//                         +-----------------------+          | lo       EXCEPTED                       |
//                                                            +-----------------------------------------+
// The host's end of `overlay` has an address of its own subnet, as a TUN device of flannel's has.
interface Addresses {
  readonly network: string;
  readonly subnet: string;
  readonly container: string;
  readonly gateway: string;
  readonly tunnel: string;
  readonly peerTunnel: string;
  readonly peer: string;
  readonly host: string;
  readonly world: string;
  readonly excepted: string;
}

const ipv4: Addresses = {
  network: "10.5.0.0/16",
  subnet: "10.5.3.0/24",
  container: "10.5.3.2",
  gateway: "10.5.3.1",
  tunnel: "10.5.3.0",
  peerTunnel: "10.5.9.0",
  peer: "10.5.9.2",
  host: "192.0.2.1",
  world: "192.0.2.2",
  excepted: "203.0.113.7",
};

const ipv6: Addresses = {
  network: "fd00:5::/52",
  subnet: "fd00:5:0:3::/64",
  container: "fd00:5:0:3::2",
  gateway: "fd00:5:0:3::1",
  tunnel: "fd00:5:0:3::ff",
  peerTunnel: "fd00:5:0:9::ff",
  peer: "fd00:5:0:9::2",
  host: "2001:db8:1::1",
  world: "2001:db8:1::2",
  excepted: "2001:db8:7::7",
};

const rules: FirewallRules = {
  networks: [ipv4, ipv6].map(({ network, subnet }) => ({
    network: parsePrefix(network),
    subnet: parsePrefix(subnet),
  })),
  masquerade: { except: [parsePrefix("203.0.113.0/25"), parsePrefix("2001:db8:7::/48")] },
  forward: true,
};

let container: Netns;
let host: Netns;
let outside: Netns;
let firewall: Firewall;
let ends: End[];

beforeEach(() => {
  ends = [];
  container = createNetns();
  host = createNetns();
  outside = createNetns();
  for (const netns of [container, host, outside]) {
    netns.setSysctl("net/ipv4/conf/all/rp_filter", 0);
    netns.setSysctl("net/ipv4/conf/default/rp_filter", 0);
    netns.setSysctl("net/ipv6/conf/default/accept_dad", 0);
    ip(netns, ["link set lo up"]);
  }
  host.setSysctl("net/ipv4/ip_forward", 1);
  host.setSysctl("net/ipv6/conf/all/forwarding", 1);
  ip(host, [
    `link add cni type veth peer name eth0 netns ${pathOf(container)}`,
    `link add overlay type veth peer name overlay netns ${pathOf(outside)}`,
    `link add wire type veth peer name wire netns ${pathOf(outside)}`,
    "link set cni up",
    "link set overlay up",
    "link set wire up",
  ]);
  ip(container, ["link set eth0 up"]);
  ip(outside, ["link set overlay up", "link set wire up"]);
  for (const one of [ipv4, ipv6]) addAddresses(one);
  firewall = openFirewall({ netns: host });
});

afterEach(() => {
  for (const end of ends) closeFd(end.fd);
  firewall.close();
  for (const netns of [container, host, outside]) netns.close();
});

describe.each([
  ["IPv4", ipv4],
  ["IPv6", ipv6],
])("%s", (_family, at) => {
  test("apply() keeps the source of what is forwarded inside the overlay", async () => {
    await firewall.apply(rules);
    expect(exchange(container, at.container, outside, at.peer)).toBe(at.container);
    expect(exchange(outside, at.peer, container, at.container)).toBe(at.peer);
  });

  test("apply() gives what leaves the overlay the host's address, and lets the answer back in", async () => {
    expect(exchange(container, at.container, outside, at.world)).toBe(at.container);
    await firewall.apply(rules);
    expect(exchange(container, at.container, outside, at.world)).toBe(at.host);
    await firewall.apply({ ...rules, masquerade: { ...rules.masquerade, randomFully: false } });
    expect(exchange(container, at.container, outside, at.world)).toBe(at.host);
    await firewall.apply({ ...rules, masquerade: undefined });
    expect(exchange(container, at.container, outside, at.world)).toBe(at.container);
  });

  test("apply() masquerades what the host sends into the overlay from another address", async () => {
    expect(exchange(host, at.host, outside, at.peer)).toBe(at.host);
    await firewall.apply(rules);
    expect(exchange(host, at.host, outside, at.peer)).toBe(at.tunnel);
    expect(exchange(host, at.tunnel, outside, at.peer)).toBe(at.tunnel);
    // into the own subnet it is the host itself that is asked
    expect(exchange(host, at.host, container, at.container)).toBe(at.host);
  });

  test("apply() leaves alone what comes from outside to the own subnet, and what is marked", async () => {
    await firewall.apply(rules);
    expect(exchange(outside, at.world, container, at.container)).toBe(at.world);
    expect(exchange(host, at.host, outside, at.peer, { mark: 0x4000 })).toBe(at.host);
    expect(exchange(host, at.host, outside, at.peer, { mark: 0x8000 })).toBe(at.tunnel);
  });

  test("apply() keeps the source of what goes to excepted networks", async () => {
    await firewall.apply(rules);
    expect(exchange(container, at.container, outside, at.excepted)).toBe(at.container);
    await firewall.apply({ ...rules, masquerade: {} });
    expect(exchange(container, at.container, outside, at.excepted)).toBe(at.host);
  });

  test("apply() opens a chain of somebody else's that drops, to overlay traffic only, and clear() closes it", async () => {
    // 9999 passes whatever happens: when it has arrived, what was sent before it has been dropped.
    const guard =
      "type filter hook forward priority 0; policy drop; udp dport 9999 accept; udp sport 9999 accept";
    nft(`table inet guard { chain f { ${guard}; }; }`);
    expect(passes(container, at.container, outside, at.peer)).toBe(false);
    await firewall.apply(rules);
    expect(passes(container, at.container, outside, at.peer)).toBe(true);
    expect(passes(outside, at.peer, container, at.container)).toBe(true);
    expect(passes(container, at.container, outside, at.world)).toBe(true);
    await firewall.apply({ ...rules, forward: false });
    expect(passes(container, at.container, outside, at.peer)).toBe(false);
    await firewall.apply(rules);
    await firewall.clear();
    expect(passes(container, at.container, outside, at.peer)).toBe(false);
  });

  test("apply() opens Docker's chains, and leaves closed what is not the overlay's", async () => {
    nft(
      ["ip", "ip6"]
        .map(
          (family) => `table ${family} filter {
            chain DOCKER-USER { return; }
            chain FORWARD {
              type filter hook forward priority filter; policy drop;
              jump DOCKER-USER
              udp dport 9999 accept
            }
          }`,
        )
        .join("\n"),
    );
    expect(passes(container, at.container, outside, at.world)).toBe(false);
    await firewall.apply({ networks: rules.networks, forward: true });
    expect(passes(container, at.container, outside, at.world)).toBe(true);
    // the container's packets are the overlay's; the world's to the excepted address are nobody's
    ip(container, [`addr add ${at.excepted} dev lo`]);
    ip(host, [`route replace ${at.excepted} via ${at.container} dev cni`]);
    const length = parseAddress(at.excepted).family === 4 ? 32 : 128;
    ip(outside, [`addr del ${at.excepted}/${length} dev lo`, `route add ${at.excepted} via ${at.host}`]);
    expect(passes(outside, at.world, container, at.excepted)).toBe(false);
    nft("chain ip filter FORWARD { policy accept; }\nchain ip6 filter FORWARD { policy accept; }");
    expect(passes(outside, at.world, container, at.excepted)).toBe(true);
  });
});

interface End {
  readonly fd: number;
  readonly port: number;
}

/**
 * Sends a packet and its answer.
 *
 * @returns The source that the receiver sees.
 */
function exchange(
  from: Netns,
  source: string,
  to: Netns,
  destination: string,
  options: { mark?: number } = {},
): string {
  const sender = openEnd(from, source, 0, options.mark);
  const receiver = openEnd(to, destination, 0);
  send(sender, destination, receiver.port);
  const seen = receive(receiver);
  send(receiver, seen.address, seen.port);
  expect(receive(sender)).toEqual({ address: destination, port: receiver.port });
  return seen.address;
}

/** Whether a packet arrives; one to port 9999 that is sent after it must. */
function passes(from: Netns, source: string, to: Netns, destination: string): boolean {
  const sender = openEnd(from, source, 0);
  const receiver = openEnd(to, destination, 0);
  const last = openEnd(to, destination, 9999);
  send(sender, destination, receiver.port);
  send(sender, destination, 9999);
  receive(last);
  ends.splice(ends.indexOf(last), 1);
  closeFd(last.fd);
  return receiveFrom(receiver.fd, new Uint8Array(16), constants.MSG_DONTWAIT) !== undefined;
}

function openEnd(netns: Netns, address: string, port: number, mark?: number): End {
  const { family } = parseAddress(address);
  const domain = family === 4 ? constants.AF_INET : constants.AF_INET6;
  const fd = netns.run(() => openSocket(domain, constants.SOCK_DGRAM));
  bindSocket(fd, socketAddress(address, port), address);
  // A packet that does not come is a failure, after five seconds.
  const timeout = new Uint8Array(new BigInt64Array([5n, 0n]).buffer);
  setSocketOption(fd, constants.SOL_SOCKET, SO_RCVTIMEO, timeout);
  if (mark !== undefined) setSocketOption(fd, constants.SOL_SOCKET, SO_MARK, mark);
  const end = { fd, port: decodeSocketAddress(getSocketName(fd))!.port };
  ends.push(end);
  return end;
}

const SO_RCVTIMEO = 20;
const SO_MARK = 36;

function send({ fd }: End, address: string, port: number): void {
  expect(sendTo(fd, new Uint8Array(8), socketAddress(address, port))).toBe(8);
}

function receive({ fd }: End): { address: string; port: number } {
  const received = receiveFrom(fd, new Uint8Array(16));
  if (received === undefined) throw new Error("Cannot receive a packet: none came, expected one");
  const { address, port } = decodeSocketAddress(received.address)!;
  return { address: addressFromBytes(address).toString(), port };
}

function socketAddress(address: string, port: number): Uint8Array {
  return encodeSocketAddress(parseAddress(address).toBytes(), port);
}

function addAddresses(at: Addresses): void {
  const { family } = parseAddress(at.host);
  const [all, length, wire] = family === 4 ? ["0.0.0.0/0", 32, 24] : ["::/0", 128, 64];
  const add = (address: string, bits: number, link: string): string =>
    `addr add ${address}/${bits} dev ${link}${flagsOf(family)}`;
  ip(container, [add(at.container, wire, "eth0"), `route add ${all} via ${at.gateway}`]);
  ip(host, [
    add(at.gateway, wire, "cni"),
    add(at.tunnel, length, "overlay"),
    add(at.host, wire, "wire"),
    `route add ${at.network} via ${at.peerTunnel} dev overlay onlink`,
    `route add ${at.excepted} via ${at.world}`,
  ]);
  ip(outside, [
    add(at.peerTunnel, length, "overlay"),
    add(at.peer, length, "overlay"),
    add(at.world, wire, "wire"),
    add(at.excepted, length, "lo"),
    // By the wire unless a container of the other host answers: the ways that the world and the peer know.
    `route add ${at.subnet} via ${at.host}`,
    `route add ${at.tunnel}/${length} dev overlay`,
  ]);
}

function flagsOf(family: AddressFamily): string {
  return family === 6 ? " nodad" : "";
}

/** `netns` wants a name, a process id or a path: the kernel knows this process's descriptors. */
function pathOf(netns: Netns): string {
  return `/proc/${process.pid}/fd/${netns.fd}`;
}

function ip(netns: Netns, commands: readonly string[]): void {
  netns.run(() =>
    execFileSync("ip", ["-batch", "-"], { input: commands.map((line) => `${line}\n`).join("") }),
  );
}

function nft(input: string): void {
  host.run(() => execFileSync("nft", ["-f", "-"], { input }));
}
